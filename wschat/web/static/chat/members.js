// Who is in the room that is shown.

import { byId, fillList, make, makeButton } from "./dom.js";

const MOST_SHOWN = 500;
const { compare } = new Intl.Collator(); // much faster than localeCompare, which matters in a crowd

/** Show who is in a room; `onMention(name)` and `onWhisper(name)` are what can be done. */
export function showMembers(room, me, { onMention, onWhisper }) {
  const names = [...room.members].sort((one, other) => (other === me.name) - (one === me.name) || compare(one, other));
  const more = names.length - MOST_SHOWN;
  const rows = names.slice(0, MOST_SHOWN).map((name) => [name, name === me.name]);
  byId("count").textContent = `${names.length.toLocaleString()} ${names.length === 1 ? "person" : "people"}`;
  fillList(byId("people"), more > 0 ? [...rows, [`and ${more.toLocaleString()} more`, true]] : rows, ([name, isPlain]) => {
    const shown = make("bdi", "", name);
    if (isPlain) return make("li", "", make("span", "person", shown, name === me.name ? " (you)" : ""));
    const mention = makeButton("person", shown, () => onMention(name));
    const whisper = makeButton("whisper-to", "Whisper", () => onWhisper(name));
    mention.ariaLabel = `Mention ${name}`;
    whisper.ariaLabel = `Whisper to ${name}`;
    mention.dataset.key = name;
    whisper.dataset.key = `${name} whisper`;
    return make("li", "", mention, whisper);
  });
}
