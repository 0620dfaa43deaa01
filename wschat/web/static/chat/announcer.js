// What is read aloud by assistive technology: what is new, at a bearable pace, and never what is old.

import { byId, make } from "./dom.js";

const EVERY = 1000;
const READ_AT_ONCE = 3;
const LONGEST = 300;
const KEPT = 10;

let messages = [];
let others = [];
let timer = 0;

/** Have a message read, soon; of many at once, only how many they are. */
export function announceMessage(text) {
  messages.push(text);
  timer ||= setTimeout(speak, EVERY);
}

/** Have something else read, whatever comes besides. */
export function announce(text) {
  others.push(text);
  timer ||= setTimeout(speak, EVERY);
}

function speak() {
  timer = 0;
  const lines = messages.length > READ_AT_ONCE ? [`${messages.length} new messages`] : messages;
  const region = byId("announcer");
  region.append(...[...others, ...lines].map((line) => make("p", "", line.slice(0, LONGEST))));
  while (region.childElementCount > KEPT) region.firstElementChild.remove();
  messages = [];
  others = [];
}
