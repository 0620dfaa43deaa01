// The bar that says that there is no connection, why, and when the next try is. It is always in the page, if out of sight: what
// comes into a page together with its text is not read aloud.

import { byId } from "./dom.js";

let until = 0;
let act = null;

byId("status-button").addEventListener("click", () => act());
setInterval(count, 500);

/** Show the bar: what is wrong, perhaps when the next try is, and a button for what can be done. */
export function showStatus(text, { next = 0, button = "", onClick = null } = {}) {
  until = next;
  act = onClick;
  byId("status").className = "";
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
  byId("status-button").textContent = button;
  byId("status-button").hidden = !button;
  count();
}

/** All is well. */
export function hideStatus() {
  byId("status").className = "unseen";
  byId("status-text").textContent = "";
  byId("status-button").hidden = true;
}

function count() {
  byId("countdown").textContent = until ? `Next try in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s` : "";
}
