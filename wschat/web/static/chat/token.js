// The access token from the page's address, for the chat and the dashboard. It is removed from the address, so that it is not
// copied or seen along with it.

import { tab } from "./storage.js";

const TOKEN = /^#token=([^&]+)/; // a token has no characters that are percent-encoded

/** Return true if the address has a token. */
export const hasTokenInAddress = () => TOKEN.test(location.hash);

/**
 * Store a token for this tab.
 *
 * @param {string} token
 */
export const storeToken = (token) => tab.set("token", token);

/**
 * Return the token from the address, which is removed from there, or else the stored one, or null.
 *
 * @returns {string | null}
 */
export function loadToken() {
  const found = TOKEN.exec(location.hash);
  if (found) {
    storeToken(found[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return tab.get("token", /** @type {string | null} */ (null));
}
