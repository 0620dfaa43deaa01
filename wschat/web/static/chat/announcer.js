// Announcements for screen readers: new messages and notices, at most once a second.

import { byId, make } from "./dom.js";

const INTERVAL_MS = 1000;
const MAX_MESSAGES = 3; // of more, only the count is announced
const MAX_CHARACTERS = 300;
const MAX_LINES = 10; // in the live region

/** @type {string[]} */
let messages = [];
/** @type {string[]} */
let notices = [];
let timer = 0;

/**
 * Announce a message soon, together with others: of many, only the count.
 *
 * @param {string} text
 */
export function announceMessage(text) {
  messages.push(text);
  timer ||= setTimeout(flush, INTERVAL_MS);
}

/**
 * Announce a notice soon, in full.
 *
 * @param {string} text
 */
export function announce(text) {
  notices.push(text);
  timer ||= setTimeout(flush, INTERVAL_MS);
}

function flush() {
  timer = 0;
  const lines = messages.length > MAX_MESSAGES ? [`${messages.length} new messages`] : messages;
  const region = byId("announcer");
  region.append(...[...notices, ...lines].map((line) => make("p", "", line.slice(0, MAX_CHARACTERS))));
  while (region.childElementCount > MAX_LINES) region.firstElementChild?.remove();
  messages = [];
  notices = [];
}
