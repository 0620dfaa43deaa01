// The log of one room as the client receives it: each entry once and in order, over lost connections and holes.

import { asRejected } from "./rejected.js";

/**
 * @typedef {object} RoomLogHooks
 * @property {(since: number) => Promise<V1.History>} fetch returns the entries after a number; rejects with a Rejected
 * @property {(entry: V1.Message) => void} onEntry called for each new entry
 * @property {(gap: Client.Gap) => void} onGap called before an entry if those before it are missing
 */

const MAX_HELD = 1000; // beyond it, entries are fetched

/** Which entries of a room's log were delivered, and which are missing. */
export class RoomLog {
  epoch;
  last; // the number of the last entry that was delivered
  head; // the number of the last entry that is known
  #hooks;
  /** @type {V1.Message[] | null} entries that were received while earlier ones are being fetched */
  #held = null;
  #isLost = false; // the numbers have begun anew, which is not told yet

  /**
   * Begin after a number of an epoch.
   *
   * @param {string} room
   * @param {{epoch: string, last: number}} position
   * @param {RoomLogHooks} hooks
   */
  constructor(room, { epoch, last }, hooks) {
    this.room = room;
    this.epoch = epoch;
    this.last = this.head = last;
    this.#hooks = hooks;
  }

  /**
   * Go on after joining. The entries in the reply are those after the number `since`, or the last ones.
   *
   * @param {V1.Joined} joined
   * @param {number} [since]
   */
  resume({ epoch, last, messages }, since) {
    this.#held = null;
    this.head = last;
    const isSameEpoch = epoch === this.epoch;
    this.epoch = epoch;
    if (!isSameEpoch || last < this.last) {
      this.#isLost = true;
      this.last = isSameEpoch ? last : 0; // everything in a new log is new
    }
    const next = messages[0]?.seq ?? last + 1;
    if (next === this.last + 1 || (isSameEpoch && since === this.last)) this.#deliver(messages);
    if (this.last < last) this.#fill(last);
    else if (this.#isLost) this.#skipTo(last + 1);
  }

  /** Fetch nothing until `resume`: the connection is lost. */
  interrupt() {
    this.#held = null;
  }

  /**
   * Receive a new entry.
   *
   * @param {V1.Message} entry
   */
  receive(entry) {
    this.head = Math.max(this.head, entry.seq);
    if (this.#held) {
      if (this.#held.length < MAX_HELD) this.#held.push(entry);
    } else if (entry.seq === this.last + 1) this.#deliver([entry]);
    else if (entry.seq > this.last) this.#fill(entry.seq - 1, [entry]);
  }

  /**
   * Fetch the missing entries up to a number. Entries that are received meanwhile are held.
   *
   * @param {number} upTo
   * @param {V1.Message[]} [held] those that were received already
   */
  async #fill(upTo, held = []) {
    this.#held = held;
    while (this.last < upTo) {
      const reply = await this.#hooks.fetch(this.last).catch(asRejected);
      if (this.#held !== held) return; // the next `resume` begins again here
      const rejected = reply instanceof Error ? reply : null;
      const entries = reply instanceof Error ? [] : reply.messages.filter(({ seq }) => seq > this.last);
      if (entries.length === 0) this.#skipTo(upTo + 1, rejected?.message);
      else this.#deliver(entries);
    }
    this.#held = null;
    for (const entry of held) this.receive(entry);
  }

  /** @param {V1.Message[]} entries between which none is kept */
  #deliver(entries) {
    for (const entry of entries) {
      if (entry.seq <= this.last) continue;
      if (this.#isLost || entry.seq > this.last + 1) this.#skipTo(entry.seq);
      this.last = entry.seq;
      this.#hooks.onEntry(entry);
    }
  }

  /**
   * @param {number} first the number of the next entry
   * @param {string} [text] why those before it are missing
   */
  #skipTo(first, text = "The server no longer has them.") {
    const missing = first - this.last - 1;
    const isLost = this.#isLost;
    this.#isLost = false;
    this.last = first - 1;
    this.#hooks.onGap({ type: "gap", room: this.room, first, missing: isLost ? 0 : missing, lost: isLost, text });
  }
}
