// What is told of the members of a room, with as few words as can be: who comes back within some seconds has never left, what
// happens one after the other is one line as long as nothing else is said, and of who comes and goes the last is what counts.

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
  #leaving = new Map(); // timers of those who may come back, by their names
  #told = new Map(); // when something was told, by what it was
  #line = null; // the item that more can be told on
  #entries = new Map(); // what it tells: of each name who has come or gone last, and sentences

  constructor(show) {
    this.#show = show;
  }

  /** Something else has been said: what comes next is on another line. */
  close() {
    this.#line = null;
    this.#entries.clear();
  }

  /** Somebody has come, or come back. */
  join(name) {
    if (!this.#cancel(name)) this.#tell(name, "joined");
  }

  /** Somebody has gone, perhaps for a moment only. */
  leave(name) {
    this.#cancel(name);
    const tell = () => {
      this.#leaving.delete(name);
      this.#tell(name, "left");
    };
    this.#leaving.set(name, setTimeout(tell, BACK_WITHIN));
  }

  /** These are here after a lost connection, and those were before it, who may be on their way back. */
  resume(here, before) {
    for (const name of here) this.#cancel(name);
    for (const name of before) if (!here.has(name)) this.leave(name);
  }

  /** Somebody is called otherwise now. */
  rename(name, newName) {
    this.#cancel(newName);
    this.#tell(name, sentence`${name} is ${newName} now.`);
  }

  /** Something was done about somebody. */
  moderate(name, event) {
    this.#cancel(name);
    if (this.isNew(event, name)) this.#tell(name, sentence`${name} ${TEXTS[event] ?? event}.`);
  }

  /** Return true unless this has been asked just now, as the same thing may be known in two ways: by an event and by an answer. */
  isNew(event, name) {
    const key = `${event} ${name.toLowerCase()}`;
    const before = this.#told.get(key) ?? -Infinity;
    this.#told.set(key, performance.now());
    return performance.now() - before > TOLD_ONCE_WITHIN;
  }

  /** Return true if somebody was about to be said to have left. */
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
