// The lists of rooms: the user's rooms and the others, as links. The text in the field above filters the others.

import { keyOf } from "../client/names.js";
import { addressOf } from "./address.js";
import { byId, fillList, make } from "./dom.js";
import { compareNames } from "./order.js";

/** @typedef {[name: string, unread: number, isCurrent: boolean]} Row a room, its unread messages, and if it is the one shown */

const MAX_LISTED = 200;

const field = byId("join-room", HTMLInputElement);

/** @type {Row[]} */
let others = [];
let isComplete = true;

field.addEventListener("input", showOthers);
byId("join").addEventListener("reset", () => setTimeout(showOthers)); // the field is still full during the event

/**
 * Show the lists.
 *
 * @param {Row[]} joined
 * @param {Row[]} notJoined
 * @param {boolean} isListComplete false if the server has more rooms than these
 */
export function showDirectory(joined, notJoined, isListComplete) {
  isComplete = isListComplete;
  others = notJoined.sort(byName);
  fillList(byId("joined"), joined.sort(byName), itemFor, update);
  showOthers();
}

/**
 * Return a count that fits into a badge.
 *
 * @param {number} count
 */
export const badgeText = (count) => (count > 999 ? "999+" : `${count}`);

/**
 * @param {Row} one
 * @param {Row} other
 */
function byName([one], [other]) {
  return compareNames(one, other);
}

function showOthers() {
  const wanted = keyOf(field.value);
  const found = others.filter(([name]) => name.includes(wanted));
  const hidden = found.length - MAX_LISTED;
  const incomplete = isComplete ? "" : "There are more rooms. Type the full name of one to join it.";
  const text = hidden > 0 ? `and ${hidden.toLocaleString()} more. Type part of a name to filter.` : incomplete;
  byId("others-part").hidden = found.length === 0 && !text;
  byId("others-more").hidden = !text;
  byId("others-more").textContent = text;
  fillList(byId("others"), found.slice(0, MAX_LISTED), itemFor, update);
}

/** @param {Row} row */
function itemFor([name]) {
  const link = make("a", "", make("bdi", "", name), make("span", "badge"));
  link.href = addressOf(name);
  return make("li", "", link);
}

/**
 * @param {HTMLLIElement} item
 * @param {Row} row
 */
function update(item, [, unread, isCurrent]) {
  const link = /** @type {HTMLAnchorElement} */ (item.firstElementChild);
  const badge = /** @type {HTMLElement} */ (link.lastElementChild);
  link.className = unread ? "unread" : "";
  link.ariaCurrent = isCurrent ? "page" : null;
  badge.hidden = !unread;
  badge.replaceChildren(...(unread ? [badgeText(unread), make("span", "unseen", " unread")] : []));
}
