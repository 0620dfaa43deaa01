// The status bar: that there is no connection, the reason, and the time until the next attempt. It stays in the document while it
// is out of sight, because screen readers do not announce a live region that is inserted together with its text.

import { byId } from "./dom.js";

const button = byId("status-button");

let nextAttempt = 0; // in milliseconds since 1970; 0 for none
/** @type {(() => void) | null} */
let onClick = null;

button.addEventListener("click", () => onClick?.());
setInterval(showCountdown, 500);

/**
 * Show the bar with a text, and optionally the time of the next attempt and a button.
 *
 * @param {string} text
 * @param {{next?: number, button?: string, onClick?: (() => void) | null}} [options] `next` in milliseconds since 1970
 */
export function showStatus(text, options = {}) {
  nextAttempt = options.next ?? 0;
  onClick = options.onClick ?? null;
  byId("status").className = "";
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
  button.textContent = options.button ?? "";
  button.hidden = !options.button;
  showCountdown();
}

/** Hide the bar. */
export function hideStatus() {
  byId("status").className = "unseen";
  byId("status-text").textContent = "";
  button.hidden = true;
}

function showCountdown() {
  const seconds = Math.max(0, Math.ceil((nextAttempt - Date.now()) / 1000));
  byId("countdown").textContent = nextAttempt ? `Trying again in ${seconds} s` : "";
}
