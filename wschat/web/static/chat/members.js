// The list of the members of the room that is shown.

import { byId, fillList, make, makeButton } from "./dom.js";
import { compareNames } from "./order.js";

const MAX_SHOWN = 500;

/**
 * Show the members of a room: the user first, then the moderators, then the others.
 *
 * @param {{members: Set<string>, moderators: Set<string>}} room
 * @param {{name: string | null}} me
 * @param {{onMention: (name: string) => void, onWhisper: (name: string) => void}} hooks
 */
export function showMembers(room, me, { onMention, onWhisper }) {
  /** @param {string} name */
  const rank = (name) => (name === me.name ? 2 : Number(room.moderators.has(name)));
  const names = [...room.members].sort((one, other) => rank(other) - rank(one) || compareNames(one, other));
  const hidden = names.length - MAX_SHOWN;
  byId("people-count").textContent = names.length ? names.length.toLocaleString() : "";
  byId("count").textContent = `${names.length.toLocaleString()} ${names.length === 1 ? "person" : "people"}`;
  byId("people-more").hidden = hidden <= 0;
  byId("people-more").textContent = hidden > 0 ? `and ${hidden.toLocaleString()} more` : "";
  /** @returns {[key: string, name: string, isOwn: boolean, isModerator: boolean]} */
  const rowOf = (/** @type {string} */ name) => {
    const isOwn = name === me.name;
    return [isOwn ? `${name} (you)` : name, name, isOwn, room.moderators.has(name)];
  };
  fillList(
    byId("people"),
    names.slice(0, MAX_SHOWN).map(rowOf),
    ([, name, isOwn]) => (isOwn ? itemForUser(name) : itemForMember(name, onMention, onWhisper)),
    (item, [, , , isModerator]) => {
      const mark = item.querySelector(".moderator");
      if (mark instanceof HTMLElement) mark.hidden = !isModerator;
    },
  );
}

/** @param {string} name */
function itemForUser(name) {
  return make("li", "", make("span", "person", nameOf(name), " (you)", moderatorMark()));
}

/**
 * @param {string} name
 * @param {(name: string) => void} onMention
 * @param {(name: string) => void} onWhisper
 */
function itemForMember(name, onMention, onWhisper) {
  const mention = makeButton("person", nameOf(name), () => onMention(name));
  const whisper = makeButton("whisper-to", "Whisper", () => onWhisper(name));
  mention.append(moderatorMark());
  mention.ariaLabel = `Mention ${name}`;
  whisper.ariaLabel = `Whisper to ${name}`;
  return make("li", "", mention, whisper);
}

function moderatorMark() {
  const mark = make("span", "moderator", "★");
  mark.role = "img";
  mark.ariaLabel = mark.title = "Moderator";
  return mark;
}

/** @param {string} name */
function nameOf(name) {
  const element = make("bdi", "", name);
  element.title = name; // a long name is cut off
  return element;
}
