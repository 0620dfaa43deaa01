// What a room is told of its members, in few words: a member who is back within some seconds has not left, news that follow each
// other share a line as long as nothing else is said, and of a member who comes and goes only the last event is told.

import { itemForNotice } from "./message.js";
import { sentence } from "./text.js";

const BACK_WITHIN = 6000; // a reload takes a second, a lost connection some more
const TOLD_ONCE_WITHIN = 3000;
const LONGEST_LINE = 12;
const TEXTS = {
  kick: "was put out",
  ban: "was banned",
  mute: "was muted",
  unmute: "may speak again",
  unban: "may come in again",
  op: "is a moderator now",
};

/** The news of one room; `show(item)` puts an item below the messages. */
export class News {
  #show;
  #leaving = new Map(); // timers of members who have left and may come back, by their names
  #told = new Map(); // when an event was told last, by the event and the name
  #line = null; // the item that still takes news
  #entries = new Map(); // the news in that item: the last coming or going of each name, and other sentences

  constructor(show) {
    this.#show = show;
  }

  /** Something else has been said: the next news begin another line. */
  close() {
    this.#line = null;
    this.#entries.clear();
  }

  /** A member has come, or come back. */
  join(name) {
    if (!this.#cancel(name)) this.#tell(name, "joined");
  }

  /** A member has gone, perhaps for a moment only. */
  leave(name) {
    this.#cancel(name);
    const tell = () => {
      this.#leaving.delete(name);
      this.#tell(name, "left");
    };
    this.#leaving.set(name, setTimeout(tell, BACK_WITHIN));
  }

  /** Compare the members after a lost connection with those before: who is missing may be on the way back. */
  resume(here, before) {
    for (const name of here) this.#cancel(name);
    for (const name of before) if (!here.has(name)) this.leave(name);
  }

  /** A member has another name. */
  rename(name, newName) {
    this.#cancel(newName);
    this.#tell(name, sentence`${name} is ${newName} now.`);
  }

  /** A moderator has done something about a member. */
  moderate(name, event) {
    this.#cancel(name);
    if (this.isNew(event, name)) this.#tell(name, sentence`${name} ${TEXTS[event] ?? event}.`);
  }

  /** Return true the first time in some seconds: a moderator learns of the same thing by an event and by an answer. */
  isNew(event, name) {
    const key = `${event} ${name.toLowerCase()}`;
    const before = this.#told.get(key) ?? -Infinity;
    this.#told.set(key, performance.now());
    return performance.now() - before > TOLD_ONCE_WITHIN;
  }

  /** Return true if it was about to be told that a member has left. */
  #cancel(name) {
    clearTimeout(this.#leaving.get(name));
    return this.#leaving.delete(name);
  }

  #tell(name, what) {
    if (!this.#line || this.#entries.size >= LONGEST_LINE) {
      const line = itemForNotice("", "news");
      this.#show(line); // and this closes the one before
      this.#line = line;
    }
    const key = typeof what === "string" ? name : what;
    this.#entries.delete(key); // what is told last stands last
    this.#entries.set(key, { name, what });
    this.#line.firstChild.replaceChildren(...this.#sentences().flatMap((said, place) => (place ? [" ", said] : [said])));
  }

  #sentences() {
    const entries = [...this.#entries.values()];
    const namesOf = (kind) => entries.filter(({ what }) => what === kind).map(({ name }) => name);
    const others = entries.filter(({ what }) => typeof what !== "string").map(({ what }) => what);
    return [...others, ...sayOf(namesOf("joined"), "joined"), ...sayOf(namesOf("left"), "left")];
  }
}

function sayOf(names, what) {
  const last = names.at(-1);
  if (names.length === 0) return [];
  return names.length === 1 ? [sentence`${last} has ${what}.`] : [sentence`${names.slice(0, -1)} and ${last} have ${what}.`];
}
