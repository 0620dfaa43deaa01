// What is read aloud by assistive technology: what is new, at a bearable pace, and never what is old.

import { byId, make } from "./dom.js";

const EVERY = 1000;
const READ_AT_ONCE = 3;
const LONGEST = 300;
const KEPT = 10;

let waiting = [];
let timer = 0;

/** Have something read, soon. */
export function announce(text) {
  waiting.push(text);
  timer ||= setTimeout(speak, EVERY);
}

function speak() {
  timer = 0;
  const lines = waiting.length > READ_AT_ONCE ? [`${waiting.length} new messages`] : waiting;
  waiting = [];
  const region = byId("announcer");
  region.append(...lines.map((line) => make("p", "", line.slice(0, LONGEST))));
  while (region.childElementCount > KEPT) region.firstElementChild.remove();
}
