// The items of a log: messages, unsent messages, whispers, notices and days.

import { hueOf } from "./colours.js";
import { make, makeButton } from "./dom.js";
import { nodesOf, sentence } from "./text.js";
import { dayOf, isSameDay, timeOf } from "./times.js";

/** @typedef {{name: string | null, mention: RegExp | null}} Me the user: their name, and a pattern that finds it in a text */
/** @typedef {Pick<V1.Message, "from" | "text" | "time">} Content */

const ACTION = "/me ";
const GROUP_SECONDS = 300;
const FOLD_CHARACTERS = 2000;
const FOLD_LINES = 24;
const STATES = {
  waiting: ["◷", "Waiting to send"],
  sent: ["◌", "Sending"],
  kept: ["✓", "Sent"],
  failed: ["!", "Not sent"],
};

/**
 * Return the items for a message: itself, and above it the day if that is a new one. A message is grouped with the one before if
 * that has the same author and is recent.
 *
 * @param {V1.Message} message
 * @param {V1.Message | null} before
 * @param {Me} me
 * @param {{isParted?: boolean, time?: number}} [between] if something stands between the two, and its time
 */
export function itemsFor(message, before, me, { isParted = false, time = before?.time } = {}) {
  const isNewDay = time === undefined || !isSameDay(time, message.time);
  const isTopic = message.type === "topic";
  const isOwn = message.from === me.name && !isTopic;
  const mention = !isOwn && !isTopic && me.mention && message.text.search(me.mention) >= 0 ? me.mention : undefined;
  const isGrouped = !isNewDay && !isParted && before !== null && continues(message, before);
  const item = isTopic ? itemForNotice(sentenceOf(message), "news") : itemOf(message, isGrouped, mention);
  item.message = message;
  item.dataset.seq = `${message.seq}`;
  item.classList.toggle("mention", mention !== undefined);
  if (isOwn) showState(item, "kept");
  return isNewDay ? [itemForDay(message.time), item] : [item];
}

/**
 * Return the item with the day of a time, which stands above everything from that day.
 *
 * @param {number} time
 */
export function itemForDay(time) {
  return Object.assign(make("li", "day", dayOf(time)), { time });
}

/**
 * Return the item for a message of the user's own that is not acknowledged.
 *
 * @param {{text: string, time: number, state: keyof typeof STATES, why?: string}} unsent `why` says what went wrong, if anything did
 * @param {boolean} isGrouped
 * @param {Me} me
 * @param {[label: string, onClick: () => void][]} actions what can be done if it cannot be sent
 */
export function itemForUnsent({ text, time, state, why }, isGrouped, me, actions) {
  const item = itemOf({ from: me.name ?? "", text, time }, isGrouped);
  item.classList.add("unsent");
  showState(item, state);
  if (why) item.append(make("p", "why", why, ...actions.map(([label, onClick]) => makeButton("link", label, onClick))));
  return item;
}

/**
 * Return the item for a whisper from or to another user.
 *
 * @param {{from?: string, to: string, text: string, time: number}} whisper `from` is not set for one that the user wrote
 * @param {(name: string) => void} onReply
 */
export function itemForWhisper({ from, to, text, time }, onReply) {
  const name = from ?? to;
  const heading = from === undefined ? ["You whispered to ", authorOf(name)] : [authorOf(name), " whispered to you"];
  const reply = makeButton("link", from === undefined ? "Whisper again" : "Reply", () => onReply(name));
  return make("li", "whisper", make("div", "head", ...heading, timeOf(time), reply), textOf(text));
}

/**
 * Return the item for a notice of the page or the server.
 *
 * @param {HTMLElement | string} content
 * @param {string} kind the class of the item
 * @param {...HTMLElement} actions
 */
export function itemForNotice(content, kind, ...actions) {
  const body = content instanceof HTMLElement ? make("div", "text", content) : textOf(content);
  body.dir = ""; // the page's direction, even if the notice begins with a name
  return make("li", kind, body, ...actions);
}

/**
 * Return an entry of a log as one sentence.
 *
 * @param {Pick<V1.Message, "type" | "from" | "text">} message
 */
export function sentenceOf({ type, from, text }) {
  if (type === "topic") return text ? sentence`${from} changed the topic to: ${text}` : sentence`${from} cleared the topic`;
  return text.startsWith(ACTION) ? sentence`${from} ${text.slice(ACTION.length)}` : sentence`${from}: ${text}`;
}

/**
 * @param {V1.Message} message
 * @param {V1.Message} before
 */
function continues(message, before) {
  const isAlone = [message, before].some(({ type, text }) => type === "topic" || text.startsWith(ACTION));
  return before.from === message.from && message.time - before.time < GROUP_SECONDS && !isAlone;
}

/**
 * @param {Content} content
 * @param {boolean} isGrouped
 * @param {RegExp} [mention]
 */
function itemOf({ from, text, time }, isGrouped, mention) {
  if (text.startsWith(ACTION)) {
    const body = textOf(text.slice(ACTION.length), mention);
    body.prepend(authorOf(from), " ");
    return make("li", "message action", timeOf(time), body);
  }
  if (isGrouped) return make("li", "message goes-on", make("bdi", "unseen", from), timeOf(time), textOf(text, mention));
  const initial = coloured(make("span", "avatar", [...from.toUpperCase()][0] ?? ""), from);
  initial.ariaHidden = "true";
  return make("li", "message", initial, make("div", "head", authorOf(from), timeOf(time)), textOf(text, mention));
}

/** @param {string} name */
function authorOf(name) {
  return coloured(make("bdi", "author", name), name);
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 */
function coloured(element, name) {
  element.style.setProperty("--hue", `${hueOf(name)}`);
  return element;
}

/**
 * Return an element with a text. Of a long one only the beginning is laid out, until the user asks for all of it.
 *
 * @param {string} text
 * @param {RegExp} [mention]
 */
function textOf(text, mention) {
  const body = make("div", "text");
  body.dir = "auto";
  const end = endOfBeginning(text);
  body.append(...nodesOf(text.slice(0, end), mention));
  if (end === text.length) return body;
  const label = `Show all (${text.length.toLocaleString()} characters)`;
  const showAll = () => {
    body.replaceChildren(...nodesOf(text, mention));
    body.tabIndex = -1;
    body.focus({ preventScroll: true }); // the button that had the focus is gone
  };
  body.append("… ", makeButton("link", label, showAll));
  return body;
}

/** @param {string} text */
function endOfBeginning(text) {
  let end = -1;
  for (let line = 0; line < FOLD_LINES; line++) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) break;
  }
  if (end < 0) end = text.length;
  const isSurrogate = /[\ud800-\udbff]/.test(text[FOLD_CHARACTERS - 1]);
  return end > FOLD_CHARACTERS ? FOLD_CHARACTERS - (isSurrogate ? 1 : 0) : end;
}

/**
 * @param {HTMLElement} item
 * @param {keyof typeof STATES} state
 */
function showState(item, state) {
  const [sign, label] = STATES[state];
  const mark = make("span", "state", sign);
  mark.role = "img";
  mark.ariaLabel = mark.title = label;
  item.dataset.state = state;
  item.append(mark);
}
