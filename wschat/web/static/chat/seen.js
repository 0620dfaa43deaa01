// How much of each room has been read: the number of the last message that was. All tabs of a browser share that.

import { local } from "./storage.js";

const SAVED_AFTER = 1000;

/** What has been read. `onChange` is called when more has been, in another tab. */
export class Seen {
  #numbers = local.get("seen", {});
  #timer = 0;

  constructor(onChange) {
    local.watch("seen", (numbers) => {
      for (const [room, number] of Object.entries(numbers)) this.#numbers[room] = Math.max(this.#numbers[room] ?? 0, number);
      onChange();
    });
    window.addEventListener("pagehide", () => this.#save());
  }

  /** We have come into a room with so many messages. Nothing counts as new where we have never been; a log may have begun anew. */
  enter(room, head) {
    this.#set(room, Math.min(this.#numbers[room] ?? head, head));
  }

  /** All messages of a room have been read. */
  read(room, head) {
    this.#set(room, head);
  }

  /** We have said the message of this number ourselves: that is nothing new to us, and does not make what came before it read. */
  said(room, number) {
    if (this.#numbers[room] === number - 1) this.#set(room, number);
  }

  /** The number of the last message of a room that has been read; null where we have never been. */
  number(room) {
    return this.#numbers[room] ?? null;
  }

  /** How many of a room's messages have not been read. */
  unread(room, head) {
    return Math.max(0, head - (this.#numbers[room] ?? head));
  }

  #set(room, number) {
    if (this.#numbers[room] === number) return;
    this.#numbers[room] = number;
    this.#timer ||= setTimeout(() => this.#save(), SAVED_AFTER);
  }

  #save() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    local.set("seen", this.#numbers);
  }
}
