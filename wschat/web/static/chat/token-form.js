// The form for a token, for a chat that lets nobody in without one.

import { byId } from "./dom.js";

const IN_A_LINK = /token=([^&\s]+)/;

let take = () => {};

byId("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const written = byId("token").value.trim();
  byId("token-dialog").close();
  take(IN_A_LINK.exec(written)?.[1] ?? written);
});

/** Ask for a token, or a link that has one in it, and say what was wrong with the one before; `onToken(token)` gets it. */
export function askForToken(problem, onToken) {
  take = onToken;
  if (!byId("token-dialog").open) byId("token-dialog").showModal();
  byId("token-problem").textContent = problem;
  byId("token").select();
}
