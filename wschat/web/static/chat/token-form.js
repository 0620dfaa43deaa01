// The dialog that asks for an access token.

import { byId } from "./dom.js";

const TOKEN_IN_LINK = /token=([^&\s]+)/;

const dialog = byId("token-dialog", HTMLDialogElement);
const field = byId("token", HTMLInputElement);

/** @type {(token: string) => void} */
let onSubmit = () => {};

dialog.addEventListener("cancel", (event) => event.preventDefault());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const written = field.value.trim();
  dialog.close();
  onSubmit(TOKEN_IN_LINK.exec(written)?.[1] ?? written);
});

/**
 * Ask for a token, or a link that contains one, and call `onToken` with it.
 *
 * @param {string} problem what was wrong with the previous token, or an empty string
 * @param {(token: string) => void} onToken
 */
export function askForToken(problem, onToken) {
  onSubmit = onToken;
  if (!dialog.open) dialog.showModal();
  byId("token-problem").textContent = problem;
  field.select();
}
