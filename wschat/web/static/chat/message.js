// What stands in the list of messages, one item each: messages, our own that are on their way, and what is said by the page.

import { hueOf } from "./colours.js";
import { make, makeButton } from "./dom.js";
import { nodesOf, sentence } from "./text.js";
import { dayOf, isSameDay, timeOf } from "./times.js";

const ACTION = "/me ";
const TOGETHER_SECONDS = 300;
const FOLDED_CHARACTERS = 2000;
const FOLDED_LINES = 24;
const STATES = {
  waiting: ["◷", "Waiting to be sent"],
  sent: ["◌", "Sent, not yet kept by the server"],
  kept: ["✓", "Kept by the server"],
  failed: ["!", "Not sent"],
};

/**
 * The items for a message that comes after another one (null for none): perhaps a day, and the message itself, which begins
 * with its author if the other one has another, or if something stands between them, whose `time` is given then.
 */
export function itemsFor(message, before, me, { isParted = false, time = before?.time } = {}) {
  const isNewDay = time === undefined || !isSameDay(time, message.time);
  const isMine = message.from === me.name;
  const isMentioned = !isMine && message.text.search(me.mention) >= 0;
  const item = itemOf(message, !isNewDay && !isParted && before !== null && goesOn(message, before), isMentioned && me.mention);
  item.message = message;
  item.dataset.seq = message.seq;
  item.classList.toggle("mention", isMentioned);
  if (isMine) showState(item, "kept");
  return isNewDay ? [itemForDay(message.time), item] : [item];
}

/** The item for the day of a time, which stands above all that is of that day. */
export function itemForDay(time) {
  return Object.assign(make("li", "day", dayOf(time)), { time });
}

/** The item for a line of our own that is not acknowledged; `actions` are what can be done if it cannot be sent. */
export function itemForUnsent({ text, time, state, why }, goesOn, me, actions) {
  const item = itemOf({ from: me.name ?? "", text, time }, goesOn);
  item.classList.add("unsent");
  showState(item, state);
  if (why) item.append(make("p", "why", why, ...actions.map(([label, act]) => makeButton("link", label, act))));
  return item;
}

/** The item for a whisper, from somebody or to somebody. */
export function itemForWhisper({ from, to, text, time }, isMine, onAnswer) {
  const name = isMine ? to : from;
  const said = isMine ? ["You whispered to ", authorOf(name)] : [authorOf(name), " whispered to you"];
  const answer = makeButton("link", isMine ? "Whisper again" : "Reply", () => onAnswer(name));
  return make("li", "whisper", make("div", "head", ...said, timeOf(time), answer), textOf(text));
}

/** The item for something that the page or the server has to say: a text, or a sentence. */
export function itemForNotice(said, kind, ...actions) {
  const body = said instanceof Element ? make("div", "text", said) : textOf(said);
  body.dir = ""; // that of the page, whatever name it begins with
  return make("li", kind, body, ...actions);
}

/** A message as a sentence, where it stands on a line by itself. */
export function lineOf({ from, text }) {
  return text.startsWith(ACTION) ? sentence`${from} ${text.slice(ACTION.length)}` : sentence`${from}: ${text}`;
}

/** Whether a message goes on with what its author said just before. */
function goesOn(message, before) {
  const isAction = message.text.startsWith(ACTION) || before.text.startsWith(ACTION);
  return before.from === message.from && message.time - before.time < TOGETHER_SECONDS && !isAction;
}

function itemOf({ from, text, time }, goesOn, mention) {
  if (text.startsWith(ACTION)) {
    const body = textOf(text.slice(ACTION.length), mention);
    body.prepend(authorOf(from), " ");
    return make("li", "message action", timeOf(time), body);
  }
  if (goesOn) return make("li", "message goes-on", make("bdi", "unseen", from), timeOf(time), textOf(text, mention));
  const initial = coloured(make("span", "avatar", [...from.toUpperCase()][0] ?? ""), from);
  initial.ariaHidden = "true";
  return make("li", "message", initial, make("div", "head", authorOf(from), timeOf(time)), textOf(text, mention));
}

function authorOf(name) {
  return coloured(make("bdi", "author", name), name);
}

function coloured(element, name) {
  element.style.setProperty("--hue", hueOf(name));
  return element;
}

/** A text, folded if it is long: what nobody asked to see is not even laid out. */
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
    body.focus({ preventScroll: true }); // which the button had
  };
  body.append("… ", makeButton("link", label, showAll));
  return body;
}

function endOfBeginning(text) {
  let end = -1;
  for (let line = 0; line < FOLDED_LINES; line++) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) break;
  }
  if (end < 0) end = text.length;
  if (end > FOLDED_CHARACTERS) end = FOLDED_CHARACTERS - /[\ud800-\udbff]/.test(text[FOLDED_CHARACTERS - 1]);
  return end;
}

function showState(item, state) {
  const [sign, label] = STATES[state];
  const shown = make("span", "state", sign);
  shown.role = "img";
  shown.ariaLabel = shown.title = label;
  item.dataset.state = state;
  item.append(shown);
}
