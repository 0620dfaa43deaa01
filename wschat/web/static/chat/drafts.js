// What has been typed into the field and not been sent, for each room. It outlives a reload.

import { tab } from "./storage.js";

const SAVED_AFTER = 300;

/** The drafts of this tab. */
export class Drafts {
  #texts = new Map(Object.entries(tab.get("drafts", {})));
  #timer = 0;

  constructor() {
    window.addEventListener("pagehide", () => this.#save());
    document.addEventListener("visibilitychange", () => this.#save()); // a phone may end a hidden page without an event
  }

  /** The draft for a room; empty if there is none. */
  of(room) {
    return this.#texts.get(room) ?? "";
  }

  /** Keep a draft, in place of the one before. */
  keep(room, text) {
    if (this.of(room) === text) return;
    if (text) this.#texts.set(room, text);
    else this.#texts.delete(room);
    this.#timer ||= setTimeout(() => this.#save(), SAVED_AFTER);
  }

  #save() {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    tab.set("drafts", Object.fromEntries(this.#texts));
  }
}
