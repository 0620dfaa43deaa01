// The client of the chat, as it is served at `/wschat.js`. The chat's own page is built on it.

export { ChatClient } from "./chat-client.js";
export { Rejected } from "./rejected.js";
