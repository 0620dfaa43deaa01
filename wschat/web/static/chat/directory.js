// The rooms on the left, as links: those we are in, and those that there are besides. What is typed into the field above them,
// where one joins a room, leaves of the latter those that have it in their names.

import { addressOf, keyOf } from "./address.js";
import { byId, fillList, make } from "./dom.js";
import { compare } from "./order.js";

const MOST_LISTED = 200;

let others = [];
let areAll = true; // the rooms that there are besides

byId("join-room").addEventListener("input", showOthers);
byId("join").addEventListener("reset", () => setTimeout(showOthers)); // when it is empty

/**
 * Show rooms: of each its name, how many messages have not been read, and whether it is the one that is shown. `isWhole` is false if
 * the server has more rooms than those.
 */
export function showDirectory(joined, besides, isWhole) {
  areAll = isWhole;
  others = besides.sort(inOrder);
  fillList(byId("joined"), joined.sort(inOrder), itemFor, update);
  showOthers();
}

const inOrder = ([one], [other]) => compare(one, other);

/** A count, as short as a badge has to be. */
export const shortCount = (count) => (count > 999 ? "999+" : `${count}`);

function showOthers() {
  const wanted = keyOf(byId("join-room").value);
  const found = others.filter(([name]) => name.includes(wanted));
  const more = found.length - MOST_LISTED;
  const unlisted = areAll ? "" : "There are more rooms: type the whole name of one";
  const text = more > 0 ? `and ${more.toLocaleString()} more: type a part of a name` : unlisted;
  byId("others-part").hidden = found.length === 0 && !text;
  byId("others-more").hidden = !text;
  byId("others-more").textContent = text;
  fillList(byId("others"), found.slice(0, MOST_LISTED), itemFor, update);
}

function itemFor([name]) {
  const link = make("a", "", make("bdi", "", name), make("span", "badge"));
  link.href = addressOf(name);
  return make("li", "", link);
}

function update(item, [, unread, isCurrent]) {
  const link = item.firstElementChild;
  const badge = link.lastElementChild;
  link.className = unread ? "unread" : "";
  link.ariaCurrent = isCurrent ? "page" : null;
  badge.hidden = !unread;
  badge.replaceChildren(...(unread ? [shortCount(unread), make("span", "unseen", " unread")] : []));
}
