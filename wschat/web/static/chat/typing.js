// Who is typing: others, and ourselves.

import { byId } from "./dom.js";
import { sentence } from "./text.js";

const TOLD_EVERY = 3000;
const FADES_AFTER = 5000;

/** What is known about who is typing. */
export class Typing {
  #until = new Map(); // by room and name
  #toldAt = 0;
  #room = "";
  #tell;

  /** `tell(room)` lets the others know. */
  constructor(tell) {
    this.#tell = tell;
    setInterval(() => this.#draw(), 1000);
  }

  /** We are typing. */
  typed() {
    if (Date.now() - this.#toldAt < TOLD_EVERY) return;
    this.#toldAt = Date.now();
    this.#tell(this.#room);
  }

  /** What we have typed has been said: the others take us for somebody who types no more. */
  said() {
    this.#toldAt = 0;
  }

  /** Somebody is typing. */
  begin(room, name) {
    this.#until.set(`${room} ${name}`, Date.now() + FADES_AFTER);
    this.#draw();
  }

  /** Somebody has said it. */
  end(room, name) {
    if (this.#until.delete(`${room} ${name}`)) this.#draw();
  }

  /** Show who is typing in this room. */
  show(room) {
    this.#room = room;
    this.#toldAt = 0;
    this.#draw();
  }

  #draw() {
    for (const [key, until] of this.#until) if (until < Date.now()) this.#until.delete(key);
    const here = [...this.#until.keys()].map((key) => key.split(" ")).filter(([room]) => room === this.#room);
    const [first, second, third, ...more] = here.map(([, name]) => name);
    let said = sentence`${first} is typing`;
    if (!first) said = sentence``;
    else if (more.length) said = sentence`Several people are typing`;
    else if (third) said = sentence`${first}, ${second} and ${third} are typing`;
    else if (second) said = sentence`${first} and ${second} are typing`;
    if (byId("typing").textContent !== said.textContent) byId("typing").replaceChildren(said);
  }
}
