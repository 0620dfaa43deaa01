// The line below the messages that says which members are typing, and telling the others that the user is.

import { byId } from "./dom.js";
import { sentence } from "./text.js";

const TELL_INTERVAL_MS = 3000;
const FADE_MS = 5000;

/** The members who are typing. */
export class Typing {
  /** @type {Map<string, number>} when each fades, by room and name */
  #fadesAt = new Map();
  #toldAt = 0;
  #room = "";
  #tell;

  /** @param {(room: string) => void} tell tells the other members of a room that the user is typing */
  constructor(tell) {
    this.#tell = tell;
    setInterval(() => this.#draw(), 1000);
  }

  /** The user has typed. */
  userTyped() {
    if (Date.now() - this.#toldAt < TELL_INTERVAL_MS) return;
    this.#toldAt = Date.now();
    this.#tell(this.#room);
  }

  /** The user has sent the message, so the other members no longer see them typing. */
  userSent() {
    this.#toldAt = 0;
  }

  /**
   * A member is typing.
   *
   * @param {string} room
   * @param {string} name
   */
  begin(room, name) {
    this.#fadesAt.set(`${room} ${name}`, Date.now() + FADE_MS);
    this.#draw();
  }

  /**
   * A member has sent a message.
   *
   * @param {string} room
   * @param {string} name
   */
  end(room, name) {
    if (this.#fadesAt.delete(`${room} ${name}`)) this.#draw();
  }

  /**
   * Show which members of a room are typing.
   *
   * @param {string} room
   */
  show(room) {
    this.#room = room;
    this.#toldAt = 0;
    this.#draw();
  }

  #draw() {
    for (const [key, fadesAt] of this.#fadesAt) if (fadesAt < Date.now()) this.#fadesAt.delete(key);
    const keys = [...this.#fadesAt.keys()].map((key) => key.split(" ")); // neither rooms nor names have spaces
    const line = typingLine(keys.filter(([room]) => room === this.#room).map(([, name]) => name));
    if (byId("typing").textContent !== line.textContent) byId("typing").replaceChildren(line);
  }
}

/** @param {string[]} names */
function typingLine([first, second, third, ...more]) {
  if (!first) return sentence``;
  if (more.length) return sentence`Several people are typing`;
  if (third) return sentence`${first}, ${second} and ${third} are typing`;
  if (second) return sentence`${first} and ${second} are typing`;
  return sentence`${first} is typing`;
}
