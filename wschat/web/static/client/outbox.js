// The outbox: lines that are to be said and that the server has not acknowledged. They are sent one at a time and in order, each after
// the reply to the one before, so that neither an error nor a lost connection changes the order. The server recognises a repeated line
// by its id. With a storage, the outbox survives a reload.

import { isSameName, keyOf } from "./names.js";
import { Rejected, asRejected, asSent } from "./rejected.js";
import { uuid } from "./uuid.js";

/**
 * A line in the outbox: a text, or a command that begins with a slash.
 *
 * @typedef {object} Item
 * @property {string} id a UUID
 * @property {string} room
 * @property {string} text
 * @property {number} time in seconds since 1970
 * @property {string | null} [author] the name under which it is to be said; null if it may be any
 * @property {"waiting" | "sent" | "failed"} state
 * @property {string} [why] why it failed or has to wait
 * @property {boolean} [mayRetry] if sending it again may succeed
 * @property {boolean} [wasTried] if it has been sent
 * @property {string | null} [from] the client's name when it was sent
 * @property {number} [after] the number of the room's last message when it was sent first
 * @property {boolean} [isLogged] if its message is in the log already
 * @property {boolean} [isSaid] true for a text of `say`, whose promise is rejected when it fails
 */

/**
 * @typedef {object} OutboxHooks
 * @property {(item: Item, onSent: () => void) => Promise<V1.Reply>} send sends a line, once it is its turn
 * @property {() => string | null} name returns the client's name
 * @property {() => string | null} author returns the name under which a line is to be said, or null if it may be any
 * @property {(room: string) => boolean} canSend returns false while a room is being joined
 * @property {(room: string) => number} head returns the number of a room's last message
 * @property {(room: string) => void} onChange
 * @property {(item: Item, reply: V1.Reply) => void} onDone
 * @property {(item: Item, error: Rejected) => void} onFail
 */

const WHISPER = /^\/msg\s/i; // a whisper has no number, so a repeated one cannot be recognised
const FINAL_CODES = new Set(["bad-command", "bad-field", "bad-request", "id-used"]);
const RETRY_PAUSE_MS = 2000;
const MESSAGE_TOO_BIG = 1009;
const STORED_AS = "outbox";

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

/** The outbox of a client. */
export class Outbox {
  #hooks;
  #store;
  #maxPending;
  /** @type {Item[]} */
  #items;
  /** those of an earlier client with the same storage, until this one has its name */
  #stored;
  #isOpen = false;
  #isSending = false;

  /**
   * @param {import("./store.js").Store} store
   * @param {number} maxPending how many lines may wait
   * @param {OutboxHooks} hooks
   */
  constructor(store, maxPending, hooks) {
    this.#store = store;
    this.#maxPending = maxPending;
    this.#hooks = hooks;
    this.#items = store.get(STORED_AS, /** @type {Item[]} */ ([])).map(unsent);
    this.#stored = new Set(this.#items);
  }

  /**
   * Return the items of a room that are not in its log.
   *
   * @param {string} room
   */
  itemsOf(room) {
    return this.#items.filter((item) => item.room === room && !item.isLogged);
  }

  /** The rooms that lines are to be sent to. */
  get rooms() {
    return new Set(this.#items.filter(isPending).map(({ room }) => room));
  }

  /**
   * Send a line to a room, after all others. An item that fails stays, until it is sent again or discarded.
   *
   * @param {string} room
   * @param {string} text
   * @param {{id?: string, isSaid?: boolean}} [fields]
   */
  add(room, text, fields) {
    const isFull = this.#items.filter(isPending).length >= this.#maxPending;
    /** @type {Item} */
    const item = { id: uuid(), room, text, time: Date.now() / 1000, state: "waiting", ...fields };
    this.#items.push(item);
    if (isFull) this.#fail(item, new Rejected({ code: "full", text: `${this.#maxPending} messages wait already: try again later.` }));
    else this.retry(item);
  }

  /**
   * Send an item that failed again.
   *
   * @param {Item} item
   */
  retry(item) {
    item.author = this.#hooks.author();
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
   * Fail all items for a room that cannot be joined.
   *
   * @param {string} room
   * @param {Rejected} error
   */
  failRoom(room, error) {
    for (const item of this.#items.filter((other) => keyOf(other.room) === keyOf(room) && isPending(other))) {
      this.#fail(item, item.wasTried ? asSent(error) : error, false); // its ack may have been lost
    }
  }

  /** Remove the lines that programs have said and that were not acknowledged, and return them. */
  discardSaid() {
    const said = this.#items.filter(({ isSaid }) => isSaid);
    said.forEach((item) => this.discard(item));
    return said;
  }

  /** Send items: the client has its name now, or has joined a room. */
  resume() {
    this.#isOpen = true;
    this.#failOthers();
    this.#sendAll();
  }

  /** Send nothing until `resume`. */
  pause() {
    this.#isOpen = false;
  }

  /**
   * Compare a message of the log with the item that was sent. If they are the same, the item is in the log. If the client has another
   * name by now there will be no ack, because the server would not recognise the line, so the item is done.
   *
   * @param {V1.Message} message
   */
  matchMessage({ type, room, seq, from, text }) {
    if (type === "topic") return; // the command that set it is to be acknowledged
    const item = this.#items.find((other) => isPending(other) && keyOf(other.room) === room);
    if (!item?.wasTried || seq <= (item.after ?? 0) || item.from !== from || messageText(item.text) !== text) return;
    if (from !== this.#hooks.name()) return this.#finish(item, { type: "ack", seq });
    item.isLogged = true;
    this.#save(item.room);
  }

  /** Fail the lines that an earlier client has stored under another name. */
  #failOthers() {
    const author = this.#hooks.author();
    for (const item of this.#items.filter(isPending)) {
      if (!this.#stored.has(item) || !author || !item.author || isSameName(item.author, author)) continue;
      this.#fail(item, new Rejected({ code: "other-name", text: `This was to be said by ${item.author}.` }, { wasSent: item.wasTried }));
    }
    this.#stored.clear();
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
    const isRepeated = item.wasTried === true;
    const onSent = () => {
      item.wasTried = true;
      item.from = this.#hooks.name();
      item.after ??= this.#hooks.head(item.room); // an earlier message with the same text is another one
      this.#setState(item, "sent");
    };
    try {
      const reply = await this.#hooks.send(item, onSent);
      this.#finish(item, reply);
    } catch (error) {
      const rejected = asRejected(error);
      if (rejected.code === "unavailable") {
        this.#setState(item, "waiting", rejected.message);
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      } else if (rejected.code === "lost") this.#interrupt(item, rejected);
      else {
        rejected.wasSent = isRepeated; // on an earlier connection, whose reply is not known
        this.#fail(item, rejected, !FINAL_CODES.has(rejected.code));
      }
    }
  }

  /**
   * @param {Item} item
   * @param {Rejected} error
   */
  #interrupt(item, error) {
    this.#isOpen = false;
    const { closeCode, wasSent } = error;
    if (wasSent && closeCode === MESSAGE_TOO_BIG) {
      this.#fail(item, new Rejected({ code: "too-big", text: "This message is too long for the server." }), false);
    } else if (wasSent && WHISPER.test(item.text)) {
      error.message = "The connection was lost. The whisper may have arrived.";
      this.#fail(item, error);
    } else this.#setState(item, "waiting");
  }

  /**
   * @param {Item} item
   * @param {V1.Reply} reply
   */
  #finish(item, reply) {
    if (!this.#items.includes(item)) return; // it was found in the log
    this.discard(item);
    this.#hooks.onDone(item, reply);
  }

  /**
   * @param {Item} item
   * @param {Rejected} error
   * @param {boolean} [mayRetry]
   */
  #fail(item, error, mayRetry = true) {
    this.#setState(item, "failed", error.message, mayRetry);
    this.#hooks.onFail(item, error);
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
  }

  /** @param {string} room */
  #save(room) {
    this.#store.set(STORED_AS, this.#items);
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
