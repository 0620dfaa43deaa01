// The outbox: lines that the user has sent and the server has not acknowledged. They are sent one at a time and in order, each
// after the reply to the one before, so that neither an error nor a lost connection changes the order. The server recognises a
// repeated line by its id. The outbox survives a reload.

import { asRefusal } from "./refusal.js";
import { tab } from "./storage.js";

/**
 * A line in the outbox.
 *
 * @typedef {object} Item
 * @property {string} id a UUID
 * @property {string} room
 * @property {string} text
 * @property {number} time in seconds since 1970
 * @property {"waiting" | "sent" | "failed"} state
 * @property {string} [why] why it failed or has to wait
 * @property {boolean} [mayRetry] if sending it again may succeed
 * @property {boolean} [wasTried] if it has been sent
 * @property {string | null} [from] the user's name when it was sent
 * @property {number} [after] the number of the room's last message when it was sent first
 * @property {boolean} [isLogged] if its message is in the log already
 */

/**
 * @typedef {object} OutboxHooks
 * @property {() => {name: string | null}} me
 * @property {(room: string) => boolean} canSend returns false while a room is being joined
 * @property {(room: string) => number} head returns the number of a room's last message
 * @property {(room: string) => void} onChange
 * @property {(item: Item, reply: V1.Reply) => void} onDone
 * @property {(item: Item) => void} onFail
 */

const WHISPER = /^\/msg\s/i; // a whisper has no number, so a repeated one cannot be recognised
const FINAL_CODES = new Set(["bad-command", "bad-field", "bad-request", "id-used"]);
const RETRY_PAUSE_MS = 2000;
const MESSAGE_TOO_BIG = 1009;

/** Return a UUID. `crypto.randomUUID` is missing on pages without TLS, such as a chat in the local network. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** @param {Item} item */
const isPending = ({ state }) => state !== "failed";

/**
 * Return the text of the message that a line becomes, or the line itself if it is another command.
 *
 * @param {string} line
 */
export function messageText(line) {
  if (/^\/me\s/i.test(line)) return `/me ${line.slice(4).trim()}`;
  return line.startsWith("//") && !line.startsWith("//me ") ? line.slice(1) : line;
}

/** The outbox of this tab. */
export class Outbox {
  #connection;
  #hooks;
  #items = tab.get("outbox", /** @type {Item[]} */ ([])).map(unsent);
  #isOpen = false;
  #isSending = false;

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {OutboxHooks} hooks
   */
  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = hooks;
  }

  /**
   * Return the items that are shown below a room's messages.
   *
   * @param {string} room
   */
  itemsOf(room) {
    return this.#items.filter((item) => item.room === room && !item.isLogged);
  }

  /**
   * Send a line to a room, after all others.
   *
   * @param {string} room
   * @param {string} text
   */
  add(room, text) {
    /** @type {Item} */
    const item = { id: uuid(), room, text, time: Date.now() / 1000, state: "waiting" };
    this.#items.push(item);
    this.retry(item);
  }

  /**
   * Send an item that failed again.
   *
   * @param {Item} item
   */
  retry(item) {
    this.#setState(item, "waiting");
    this.#sendAll();
  }

  /**
   * Remove an item.
   *
   * @param {Item} item
   */
  discard(item) {
    this.#items = this.#items.filter((other) => other !== item);
    this.#save(item.room);
  }

  /**
   * Fail all items for a room that the user cannot join.
   *
   * @param {string} room
   * @param {string} why
   */
  failRoom(room, why) {
    for (const item of this.#items.filter((other) => other.room === room && isPending(other))) this.#setState(item, "failed", why, false);
  }

  /** The rooms that there are items for. */
  get rooms() {
    return new Set(this.#items.filter(isPending).map(({ room }) => room));
  }

  /** Send items: the user has a name now, or has joined a room. */
  resume() {
    this.#isOpen = true;
    this.#sendAll();
  }

  /** Send nothing until `resume`. */
  pause() {
    this.#isOpen = false;
  }

  /**
   * Compare a new message of the log with the item that was sent. If they are the same, the item is no longer shown. If the user
   * has another name by now there will be no ack, because the server would not recognise the line, so the item is removed.
   *
   * @param {V1.Message} message
   */
  matchMessage({ type, room, seq, from, text }) {
    if (type === "topic") return; // the command that set it is shown until it is acknowledged
    const item = this.#items.find((other) => isPending(other) && other.room === room);
    if (!item?.wasTried || seq <= (item.after ?? 0) || item.from !== from || messageText(item.text) !== text) return;
    if (from !== this.#hooks.me().name) return this.discard(item);
    item.isLogged = true;
    this.#save(room);
  }

  #next() {
    return this.#items.find((item) => isPending(item) && this.#hooks.canSend(item.room));
  }

  async #sendAll() {
    if (this.#isSending) return;
    this.#isSending = true;
    for (let item = this.#next(); this.#isOpen && item; item = this.#next()) await this.#send(item);
    this.#isSending = false;
  }

  /** @param {Item} item */
  async #send(item) {
    const { id, room, text } = item;
    const onSent = () => {
      item.wasTried = true;
      item.from = this.#hooks.me().name;
      item.after ??= this.#hooks.head(room); // an earlier message with the same text is another one
      this.#setState(item, "sent");
    };
    try {
      const reply = await this.#connection.request({ type: "say", room, text, id }, { onSent });
      this.discard(item);
      this.#hooks.onDone(item, reply);
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal.code === "unavailable") {
        this.#setState(item, "waiting", refusal.message);
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      } else if (refusal.code === "lost") this.#interrupt(item, refusal);
      else this.#setState(item, "failed", refusal.message, !FINAL_CODES.has(refusal.code));
    }
  }

  /**
   * @param {Item} item
   * @param {import("./refusal.js").Refusal} refusal
   */
  #interrupt(item, { closeCode, wasSent }) {
    this.#isOpen = false;
    if (wasSent && closeCode === MESSAGE_TOO_BIG) this.#setState(item, "failed", "This message is too long for the server.", false);
    else if (wasSent && WHISPER.test(item.text)) this.#setState(item, "failed", "The connection was lost. The whisper may have arrived.");
    else this.#setState(item, "waiting");
  }

  /**
   * @param {Item} item
   * @param {Item["state"]} state
   * @param {string} [why]
   * @param {boolean} [mayRetry]
   */
  #setState(item, state, why, mayRetry = true) {
    Object.assign(item, { state, why, mayRetry });
    this.#save(item.room);
    if (state === "failed") this.#hooks.onFail(item);
  }

  /** @param {string} room */
  #save(room) {
    tab.set("outbox", this.#items);
    this.#hooks.onChange(room);
  }
}

/**
 * @param {Item} item
 * @returns {Item}
 */
function unsent(item) {
  return item.state === "sent" ? { ...item, state: "waiting" } : item;
}
