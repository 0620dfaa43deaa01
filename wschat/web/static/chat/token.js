// The token that the page's address may bring along, for the chat and the figures alike. It is not left there for anybody to see.

import { tab } from "./storage.js";

const TOKEN = /^#token=([^&]+)/; // nothing in a token needs to be written in another way, so nothing is decoded

/** Whether the address has a token. */
export const isTokenGiven = () => TOKEN.test(location.hash);

/** Remember a token, in this tab only. */
export const keepToken = (token) => tab.set("token", token);

/** The token in the address, or the one that was there before, or null. */
export function takeToken() {
  const found = TOKEN.exec(location.hash);
  if (found) {
    keepToken(found[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return tab.get("token", null);
}
