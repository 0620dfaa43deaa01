// News of a room's members: who joined, left, was renamed or moderated. A member who comes back within some seconds has not left,
// consecutive news share a line, and of several events of one member only the last is shown.

import { itemForNotice } from "./message.js";
import { sentence } from "./text.js";

const RETURN_MS = 6000; // a reload takes a second, a lost connection some more
const REPORT_ONCE_MS = 3000;
const MAX_NEWS_PER_LINE = 12;
const TEXTS = {
  kick: "was removed",
  ban: "was banned",
  mute: "was muted",
  unmute: "was unmuted",
  unban: "was unbanned",
  op: "is now a moderator",
};

/** @typedef {keyof typeof TEXTS} ModerationEvent */
/** @typedef {"joined" | "left" | HTMLElement} News a word that is the same for several members, or a sentence */

/** The news of one room. */
export class MemberNews {
  #show;
  /** @type {Map<string, number>} timers of members who left and may come back, by name */
  #leaving = new Map();
  /** @type {Map<string, number>} when an event was reported last, by event and name */
  #reported = new Map();
  /** @type {HTMLLIElement | null} the item that further news are added to */
  #line = null;
  /** @type {Map<string | HTMLElement, {name: string, news: News}>} the news in that item */
  #entries = new Map();

  /** @param {(item: HTMLLIElement) => void} show adds an item to the log */
  constructor(show) {
    this.#show = show;
  }

  /** Have the next news begin a new line, because something else was added to the log. */
  endLine() {
    this.#line = null;
    this.#entries.clear();
  }

  /**
   * A member joined, or came back.
   *
   * @param {string} name
   */
  join(name) {
    if (!this.#cancelLeaving(name)) this.#report(name, "joined");
  }

  /**
   * A member left, perhaps only for a moment.
   *
   * @param {string} name
   */
  leave(name) {
    this.#cancelLeaving(name);
    const report = () => {
      this.#leaving.delete(name);
      this.#report(name, "left");
    };
    this.#leaving.set(name, setTimeout(report, RETURN_MS));
  }

  /**
   * Compare the members with those before the connection was lost.
   *
   * @param {Set<string>} members
   * @param {Set<string>} before
   */
  resume(members, before) {
    for (const name of members) this.#cancelLeaving(name);
    for (const name of before) if (!members.has(name)) this.leave(name);
  }

  /**
   * A member changed their name.
   *
   * @param {string} name
   * @param {string} newName
   */
  rename(name, newName) {
    this.#cancelLeaving(newName);
    this.#report(name, sentence`${name} is now ${newName}.`);
  }

  /**
   * A moderator moderated a member.
   *
   * @param {string} name
   * @param {ModerationEvent} event
   */
  moderate(name, event) {
    this.#cancelLeaving(name);
    if (this.isFirstReport(event, name)) this.#report(name, sentence`${name} ${TEXTS[event] ?? event}.`);
  }

  /**
   * Return true unless the same event was reported in the last seconds. The moderator gets both a reply and an event.
   *
   * @param {string} event
   * @param {string} name
   */
  isFirstReport(event, name) {
    const key = `${event} ${name.toLowerCase()}`;
    const before = this.#reported.get(key) ?? -Infinity;
    this.#reported.set(key, performance.now());
    return performance.now() - before > REPORT_ONCE_MS;
  }

  /**
   * Return true if the member had left, and this was not reported yet.
   *
   * @param {string} name
   */
  #cancelLeaving(name) {
    clearTimeout(this.#leaving.get(name));
    return this.#leaving.delete(name);
  }

  /**
   * @param {string} name
   * @param {News} news
   */
  #report(name, news) {
    if (!this.#line || this.#entries.size >= MAX_NEWS_PER_LINE) {
      const line = itemForNotice("", "news");
      this.#show(line); // this ends the line before
      this.#line = line;
    }
    const key = typeof news === "string" ? name : news;
    this.#entries.delete(key); // the latest stands last
    this.#entries.set(key, { name, news });
    const text = /** @type {HTMLElement} */ (this.#line.firstChild);
    text.replaceChildren(...this.#sentences().flatMap((part, place) => (place ? [" ", part] : [part])));
  }

  #sentences() {
    const entries = [...this.#entries.values()];
    /** @param {News} word */
    const namesOf = (word) => entries.filter(({ news }) => news === word).map(({ name }) => name);
    const others = entries.flatMap(({ news }) => (typeof news === "string" ? [] : [news]));
    return [...others, ...sentencesAbout(namesOf("joined"), "joined"), ...sentencesAbout(namesOf("left"), "left")];
  }
}

/**
 * @param {string[]} names
 * @param {string} verb
 */
function sentencesAbout(names, verb) {
  const last = names.at(-1);
  if (last === undefined) return [];
  return names.length === 1 ? [sentence`${last} ${verb}.`] : [sentence`${names.slice(0, -1)} and ${last} ${verb}.`];
}
