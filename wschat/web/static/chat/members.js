// Who is in the room that is shown.

import { byId, fillList, make, makeButton } from "./dom.js";
import { compare } from "./order.js";

const MOST_SHOWN = 500;

/** Show who is in a room; `onMention(name)` and `onWhisper(name)` are what can be done. */
export function showMembers(room, me, { onMention, onWhisper }) {
  const rank = (name) => (name === me.name ? 2 : Number(room.moderators.has(name)));
  const names = [...room.members].sort((one, other) => rank(other) - rank(one) || compare(one, other));
  const more = names.length - MOST_SHOWN;
  byId("people-count").textContent = names.length ? names.length.toLocaleString() : "";
  byId("count").textContent = `${names.length.toLocaleString()} ${names.length === 1 ? "person" : "people"}`;
  byId("people-more").hidden = more <= 0;
  byId("people-more").textContent = more > 0 ? `and ${more.toLocaleString()} more` : "";
  const rows = names.slice(0, MOST_SHOWN).map((name) => {
    const isMine = name === me.name;
    return [isMine ? `${name} (you)` : name, name, isMine, room.moderators.has(name)];
  });
  const makeItem = ([, name, isMine]) => {
    if (isMine) return make("li", "", make("span", "person", nameOf(name), " (you)", markOfModerators()));
    const mention = makeButton("person", nameOf(name), () => onMention(name));
    const whisper = makeButton("whisper-to", "Whisper", () => onWhisper(name));
    mention.append(markOfModerators());
    mention.ariaLabel = `Mention ${name}`;
    whisper.ariaLabel = `Whisper to ${name}`;
    return make("li", "", mention, whisper);
  };
  fillList(byId("people"), rows, makeItem, (item, [, , , isModerator]) => {
    item.querySelector(".moderator").hidden = !isModerator;
  });
}

function markOfModerators() {
  const mark = make("span", "moderator", "★");
  mark.role = "img";
  mark.ariaLabel = mark.title = "Moderator";
  return mark;
}

/** A name, which may be too long for the column, but not for who points at it. */
function nameOf(name) {
  const element = make("bdi", "", name);
  element.title = name;
  return element;
}
