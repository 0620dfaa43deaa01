// What stands in the list of messages, one item each: messages, our own that are on their way, and what is said by the page.

import { make, makeButton } from "./dom.js";
import { nodesOf } from "./text.js";
import { dayOf, isSameDay, timeOf } from "./times.js";

const ACTION = "/me ";
const HUES = 8;
const TOGETHER_SECONDS = 300;
const FOLDED_CHARACTERS = 2000;
const FOLDED_LINES = 24;
const STATES = { waiting: "Waiting to be sent", sent: "Sent, not yet kept by the server", failed: "Not sent" };

/**
 * The items for a message that comes after another one (null for none): perhaps a day, and the message itself, which begins
 * with its author if the other one has another, or if something stands between them.
 */
export function itemsFor(message, before, me, isParted = false) {
  const items = [];
  const isNewDay = !before || !isSameDay(before.time, message.time);
  if (isNewDay) items.push(make("li", "day", dayOf(message.time)));
  const isMine = message.from === me.name;
  const isMentioned = !isMine && me.mention !== null && message.text.search(me.mention) >= 0;
  const item = bodyOf(message, isNewDay || isParted || !follows(message, before), isMentioned ? me.mention : null);
  item.dataset.seq = message.seq;
  if (isMentioned) item.classList.add("mention");
  if (isMine) {
    item.dataset.state = "kept";
    item.classList.add("own");
    item.append(stateOf("✓", "Kept by the server"));
  }
  item.message = message;
  items.push(item);
  return items;
}

/** The item for a line of our own that is not acknowledged yet. */
export function itemForUnsent(unsent, text, me, { onRetry, onDiscard }) {
  const item = bodyOf({ from: me.name ?? "", text, time: unsent.time }, true, null);
  item.classList.add("own", "unsent");
  item.dataset.state = unsent.state;
  item.append(stateOf({ waiting: "◷", sent: "◌", failed: "!" }[unsent.state], STATES[unsent.state]));
  if (unsent.why) {
    const why = make("p", "why", unsent.why);
    if (unsent.state === "failed") why.append(makeButton("link", "Try again", onRetry));
    why.append(makeButton("link", "Discard", onDiscard));
    item.append(why);
  }
  return item;
}

/** The item for a whisper, of which `isMine` says who said it. */
export function itemForWhisper({ from, to, text, time }, isMine, onAnswer) {
  const item = make("li", "whisper");
  const [name, said] = isMine ? [to, "You whispered to "] : [from, " whispered to you"];
  const who = make("b", "author", name);
  who.dir = "auto";
  const head = make("div", "head", ...(isMine ? [said, who] : [who, said]), timeOf(time));
  head.append(makeButton("link", isMine ? "Whisper again" : "Answer", () => onAnswer(name)));
  item.append(head, textOf(text, null));
  return item;
}

/** The item for something that the page has to say. */
export function itemForNotice(text, kind = "notice", ...actions) {
  const item = make("li", kind, textOf(text, null));
  item.append(...actions);
  return item;
}

/** One of a few classes, always the same for a name. */
export function hueOf(name) {
  let sum = 0;
  for (const character of name.toLowerCase()) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return `hue-${sum % HUES}`;
}

/** Whether a message goes on with what its author said just before. */
function follows(message, before) {
  return (
    before.from === message.from &&
    message.time - before.time < TOGETHER_SECONDS &&
    !message.text.startsWith(ACTION) &&
    !before.text.startsWith(ACTION)
  );
}

function bodyOf({ from, text, time }, isFirst, mention) {
  const author = make("b", `author ${hueOf(from)}`, from);
  author.dir = "auto";
  if (text.startsWith(ACTION)) {
    const body = textOf(text.slice(ACTION.length), mention);
    body.prepend(author, " ");
    return make("li", "message action", timeOf(time), body);
  }
  if (!isFirst) return make("li", "message follows", timeOf(time), textOf(text, mention));
  const initial = make("span", `avatar ${hueOf(from)}`, [...from][0]?.toUpperCase() ?? "?");
  initial.ariaHidden = "true";
  return make("li", "message", initial, make("div", "head", author, timeOf(time)), textOf(text, mention));
}

/** A text, folded if it is long: what nobody asked to see is not even laid out. */
function textOf(text, mention) {
  const body = make("div", "text");
  body.dir = "auto";
  const short = beginningOf(text);
  body.append(...nodesOf(short, mention));
  if (short !== text) {
    const unfold = makeButton("link unfold", `Show all (${text.length.toLocaleString()} characters)`, () =>
      body.replaceChildren(...nodesOf(text, mention)),
    );
    body.append("… ", unfold);
  }
  return body;
}

function beginningOf(text) {
  let end = -1;
  for (let lines = 0; lines < FOLDED_LINES; lines++) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) break;
  }
  if (end < 0) end = text.length;
  if (end === text.length && end <= FOLDED_CHARACTERS) return text;
  return text.slice(0, Math.min(end, FOLDED_CHARACTERS)).replace(/[\ud800-\udbff]$/, "");
}

function stateOf(sign, label) {
  const state = make("span", "state", sign);
  state.role = "img";
  state.ariaLabel = state.title = label;
  return state;
}
