// What is to be sent: lines go out one at a time and in order, the next when the one before has its answer, so that neither a
// refusal nor a lost connection can change their order. Each has an id of its own, by which the server keeps it only once.
// What is not yet acknowledged outlives a reload.

import { tab } from "./storage.js";

const ONLY_ONCE = /^\/msg\s/i; // whispers have no number by which the server would know them again
const TRY_AGAIN_AFTER = 2000;

/** A UUID. `crypto.randomUUID` is only there in secure contexts, which a chat in the local network is not. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/** What the server makes of a line: the text of the message, or null for a command that is none. */
export function spoken(line) {
  if (/^\/me\s/i.test(line)) return `/me ${line.slice(4).trim()}`;
  if (!line.startsWith("/")) return line;
  return line.startsWith("//") ? (line.startsWith("//me ") ? line : line.slice(1)) : null;
}

/**
 * Lines on their way to the server. An item is `{id, room, text, state, why, isSeen}`; its state is `waiting`, `sent` (not yet
 * durable), or `failed`, and one that is done is gone.
 */
export class Outbox {
  #items = tab.get("outbox", []).map((item) => (item.state === "sent" ? { ...item, state: "waiting" } : item));
  #isOpen = false;
  #isBusy = false;

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {object} hooks
   * @param {(room: string) => void} hooks.onChange what is to be sent to a room has changed
   * @param {(item: object, answer: object) => void} hooks.onDone an item has its answer
   */
  constructor(connection, hooks) {
    this.connection = connection;
    this.hooks = hooks;
  }

  /** What is to be shown of a room's items. */
  of(room) {
    return this.#items.filter((item) => item.room === room && !item.isSeen);
  }

  /** Send a line to a room, after all others. */
  add(room, text) {
    this.#items.push({ id: uuid(), room, text, state: "waiting", time: Date.now() / 1000 });
    this.#changed(room);
    this.#pump();
  }

  /** Try again what has failed. */
  retry(item) {
    Object.assign(item, { state: "waiting", why: undefined });
    this.#changed(item.room);
    this.#pump();
  }

  /** Forget an item. */
  discard(item) {
    this.#items = this.#items.filter((other) => other !== item);
    this.#changed(item.room);
  }

  /** We have a name and are in our rooms: send. */
  resume() {
    this.#isOpen = true;
    this.#pump();
  }

  /** We are not, any more. */
  pause() {
    this.#isOpen = false;
  }

  /** A message of our own has come. If it is the one that was sent last it need not be shown twice, even before its ack. */
  saw(message) {
    const item = this.#items.find(({ state, isSeen, wasTried }) => state !== "failed" && wasTried && !isSeen);
    if (item?.room !== message.room || spoken(item.text) !== message.text) return;
    item.isSeen = true;
    this.#changed(item.room);
  }

  async #pump() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    let item;
    while (this.#isOpen && (item = this.#items.find(({ state }) => state !== "failed"))) await this.#send(item);
    this.#isBusy = false;
  }

  async #send(item) {
    const { id, room, text } = item;
    try {
      const answer = await this.connection.request({ type: "say", room, text, id }, () => {
        item.wasTried = true;
        this.#set(item, "sent");
      });
      this.discard(item);
      this.hooks.onDone(item, answer);
    } catch (refusal) {
      if (refusal.code === "lost") this.#interrupted(item, refusal);
      else if (refusal.code === "unavailable") {
        this.#set(item, "waiting", refusal.message);
        await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_AFTER));
      } else this.#set(item, "failed", refusal.message);
    }
  }

  #interrupted(item, { closeCode, wasSent }) {
    this.#isOpen = false;
    if (wasSent && closeCode === 1009) this.#set(item, "failed", "It is too long for this server.");
    else if (wasSent && ONLY_ONCE.test(item.text)) this.#set(item, "failed", "The connection was lost; perhaps it has arrived.");
    else this.#set(item, "waiting");
  }

  #set(item, state, why) {
    Object.assign(item, { state, why });
    this.#changed(item.room);
  }

  #changed(room) {
    tab.set("outbox", this.#items.length ? this.#items : undefined);
    this.hooks.onChange(room);
  }
}
