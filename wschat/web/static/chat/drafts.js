// Drafts: what was typed into each room's message field and not sent. They survive a reload.

import { tab } from "./storage.js";

const SAVE_DELAY_MS = 300;

/** The drafts of this tab. */
export class Drafts {
  /** @type {Map<string, string>} by room */
  #texts = new Map(Object.entries(tab.get("drafts", {})));
  #timer = 0;

  constructor() {
    window.addEventListener("pagehide", () => this.#save());
    document.addEventListener("visibilitychange", () => this.#save()); // a phone may end a hidden page without an event
  }

  /**
   * Return the draft for a room, or an empty string.
   *
   * @param {string} room
   */
  get(room) {
    return this.#texts.get(room) ?? "";
  }

  /**
   * Set the draft for a room.
   *
   * @param {string} room
   * @param {string} text
   */
  set(room, text) {
    if (this.get(room) === text) return;
    if (text) this.#texts.set(room, text);
    else this.#texts.delete(room);
    this.#timer ||= setTimeout(() => this.#save(), SAVE_DELAY_MS);
  }

  #save() {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    tab.set("drafts", Object.fromEntries(this.#texts));
  }
}
