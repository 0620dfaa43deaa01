// Who is in the room that is shown.

import { byId, fillList, make, makeButton } from "./dom.js";

const MOST_SHOWN = 500;
const { compare } = new Intl.Collator(); // much faster than localeCompare, which matters in a crowd

/** Show who is in a room; `onMention(name)` and `onWhisper(name)` are what can be done. */
export function showMembers(room, me, { onMention, onWhisper }) {
  const names = [...room.members].sort((one, other) => (other === me.name) - (one === me.name) || compare(one, other));
  const more = names.length - MOST_SHOWN;
  byId("count").textContent = `${names.length.toLocaleString()} ${names.length === 1 ? "person" : "people"}`;
  byId("people-more").hidden = more <= 0;
  byId("people-more").textContent = more > 0 ? `and ${more.toLocaleString()} more` : "";
  const rows = names.slice(0, MOST_SHOWN).map((name) => (name === me.name ? [`${name} (you)`, name] : [name]));
  fillList(byId("people"), rows, ([name, mine]) => {
    if (mine) return make("li", "", make("span", "person", nameOf(mine), " (you)"));
    const mention = makeButton("person", nameOf(name), () => onMention(name));
    const whisper = makeButton("whisper-to", "Whisper", () => onWhisper(name));
    mention.ariaLabel = `Mention ${name}`;
    whisper.ariaLabel = `Whisper to ${name}`;
    return make("li", "", mention, whisper);
  });
}

/** A name, which may be too long for the column, but not for who points at it. */
function nameOf(name) {
  const element = make("bdi", "", name);
  element.title = name;
  return element;
}
