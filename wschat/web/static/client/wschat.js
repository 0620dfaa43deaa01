// The client of the chat, as it is served at `/wschat.js`.

export { ChatClient } from "./chat-client.js";
export { Rejected } from "./rejected.js";
