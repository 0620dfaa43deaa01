// Read marks: the number of the last message that the user has read in each room. All tabs of a browser share them.

import { local, watchLocal } from "./storage.js";

const SAVE_DELAY_MS = 1000;

/** The read marks. */
export class ReadMarks {
  /** @type {Record<string, number>} by room */
  #marks = local.get("seen", {});
  #timer = 0;

  /** @param {() => void} onChange called when another tab has read more */
  constructor(onChange) {
    watchLocal("seen", (marks) => {
      for (const [room, seq] of Object.entries(marks)) this.#marks[room] = Math.max(this.#marks[room] ?? 0, seq);
      onChange();
    });
    window.addEventListener("pagehide", () => this.#save());
  }

  /**
   * Begin with a room whose last message has the number `head`. In a room without a mark all messages count as read. A mark above
   * `head` is from an earlier log of the room, and is lowered.
   *
   * @param {string} room
   * @param {number} head
   */
  begin(room, head) {
    this.#set(room, Math.min(this.#marks[room] ?? head, head));
  }

  /**
   * Mark all messages up to `head` as read.
   *
   * @param {string} room
   * @param {number} head
   */
  markRead(room, head) {
    this.#set(room, head);
  }

  /**
   * Mark the user's own message as read. Unread messages before it stay unread.
   *
   * @param {string} room
   * @param {number} seq
   */
  markOwn(room, seq) {
    if (this.#marks[room] === seq - 1) this.#set(room, seq);
  }

  /**
   * Return the number of the last message that was read, or null in a room without a mark.
   *
   * @param {string} room
   */
  get(room) {
    return this.#marks[room] ?? null;
  }

  /**
   * Return the number of unread messages.
   *
   * @param {string} room
   * @param {number} head
   */
  countUnread(room, head) {
    return Math.max(0, head - (this.#marks[room] ?? head));
  }

  /**
   * @param {string} room
   * @param {number} seq
   */
  #set(room, seq) {
    if (this.#marks[room] === seq) return;
    this.#marks[room] = seq;
    this.#timer ||= setTimeout(() => this.#save(), SAVE_DELAY_MS);
  }

  #save() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    local.set("seen", this.#marks);
  }
}
