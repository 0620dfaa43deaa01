// The bar that says that there is no connection, why, and when the next try is.

import { byId } from "./dom.js";

let timer = 0;
let act = () => {};

byId("status-button").addEventListener("click", () => act());

/**
 * Show the bar.
 * @param {string} text
 * @param {{until?: number, button?: string, onClick?: () => void}} options when the next try is, and what can be done
 */
export function showStatus(text, { until, button = "", onClick = () => {} } = {}) {
  clearInterval(timer);
  act = onClick;
  byId("status").hidden = false;
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
  byId("status-button").hidden = !button;
  byId("status-button").textContent = button;
  const count = () => (byId("countdown").textContent = until ? `Next try in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s` : "");
  count();
  if (until) timer = setInterval(count, 250);
}

/** All is well. */
export function hideStatus() {
  clearInterval(timer);
  byId("status").hidden = true;
  byId("status-text").textContent = "";
}
