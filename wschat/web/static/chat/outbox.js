// What is to be sent: lines go out one at a time and in order, as soon as we are in their rooms, and the next when the one before
// has its answer, so that neither a refusal nor a lost connection can change their order. Each has an id of its own, by which the
// server keeps it only once. What is not yet acknowledged outlives a reload.

import { tab } from "./storage.js";

const ONLY_ONCE = /^\/msg\s/i; // whispers have no number by which the server would know them again
const HOPELESS = /^(bad-|id-used)/; // errors that would be the same again
const TRIES_EVERY = 2000;
const TOO_LONG = 1009;

/** A UUID. `crypto.randomUUID` is only there in secure contexts, which a chat in the local network is not. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const isToBeSent = ({ state }) => state !== "failed";

/** The text of the message that a line becomes; for a command that becomes none, the line. */
export function spoken(line) {
  if (/^\/me\s/i.test(line)) return `/me ${line.slice(4).trim()}`;
  return line.startsWith("//") && !line.startsWith("//me ") ? line.slice(1) : line;
}

/**
 * Lines on their way to the server. An item is `{id, room, text, time, state, why, mayRetry}`; its state is `waiting`, `sent` (and not
 * yet durable) or `failed`, and one that is done is gone. Hooks: `me()` says who we are, `mayGo(room)` whether we are in a room,
 * `head(room)` the last number there; `onChange(room)`, `onDone(item, answer)`, and `onFail(item)`.
 */
export class Outbox {
  #connection;
  #hooks;
  #items = tab.get("outbox", []).map((item) => (item.state === "sent" ? { ...item, state: "waiting" } : item));
  #isOpen = false;
  #isBusy = false;

  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = hooks;
  }

  /** What is to be shown of a room's items. */
  of(room) {
    return this.#items.filter((item) => item.room === room && !item.isSeen);
  }

  /** Send a line to a room, after all others. */
  add(room, text) {
    this.#items.push({ id: uuid(), room, text, time: Date.now() / 1000 });
    this.retry(this.#items.at(-1));
  }

  /** Try again what has failed. */
  retry(item) {
    this.#set(item, "waiting");
    this.#work();
  }

  /** Forget an item. */
  discard(item) {
    this.#items = this.#items.filter((other) => other !== item);
    this.#changed(item);
  }

  /** Nothing goes to this room any more, and this is why. */
  refuse(room, why) {
    for (const item of this.#items.filter((other) => other.room === room && isToBeSent(other))) this.#set(item, "failed", why, false);
  }

  /** The rooms that something is to be sent to. */
  get rooms() {
    return new Set(this.#items.filter(isToBeSent).map(({ room }) => room));
  }

  /** We have a name, or are in another one of our rooms: send. */
  resume() {
    this.#isOpen = true;
    this.#work();
  }

  /** We have none, any more. */
  pause() {
    this.#isOpen = false;
  }

  /**
   * A message is in the log. If it is the one that was sent last it need not be shown twice, even before its ack; and if we have
   * another name since, there will be no ack, since by another name the server would take it for another message.
   */
  saw({ room, seq, from, text: said }) {
    const item = this.#items.find((other) => isToBeSent(other) && other.room === room);
    if (!item?.wasTried || seq <= item.after || item.from !== from || spoken(item.text) !== said) return;
    if (from !== this.#hooks.me().name) return this.discard(item);
    item.isSeen = true;
    this.#changed(item);
  }

  #next() {
    return this.#items.find((item) => isToBeSent(item) && this.#hooks.mayGo(item.room));
  }

  async #work() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#isOpen && this.#next()) await this.#send(this.#next());
    this.#isBusy = false;
  }

  async #send(item) {
    const { id, room, text } = item;
    const onSent = () => {
      item.wasTried = true;
      item.from = this.#hooks.me().name;
      item.after ??= this.#hooks.head(room); // what is in the log up to there is something else, even if it reads the same
      this.#set(item, "sent");
    };
    try {
      const answer = await this.#connection.request({ type: "say", room, text, id }, { onSent });
      this.discard(item);
      this.#hooks.onDone(item, answer);
    } catch (refusal) {
      if (refusal.code === "unavailable") {
        this.#set(item, "waiting", refusal.message);
        await new Promise((resolve) => setTimeout(resolve, TRIES_EVERY));
      } else if (refusal.code === "lost") this.#interrupted(item, refusal);
      else this.#set(item, "failed", refusal.message, !HOPELESS.test(refusal.code));
    }
  }

  #interrupted(item, { closeCode, wasSent }) {
    this.#isOpen = false;
    if (wasSent && closeCode === TOO_LONG) this.#set(item, "failed", "It is too long for this server.", false);
    else if (wasSent && ONLY_ONCE.test(item.text)) this.#set(item, "failed", "The connection was lost; perhaps it has arrived.");
    else this.#set(item, "waiting");
  }

  #set(item, state, why, mayRetry = true) {
    Object.assign(item, { state, why, mayRetry });
    this.#changed(item);
    if (state === "failed") this.#hooks.onFail(item);
  }

  #changed({ room }) {
    tab.set("outbox", this.#items);
    this.#hooks.onChange(room);
  }
}
