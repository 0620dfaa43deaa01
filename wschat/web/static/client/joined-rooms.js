// The rooms of a client: joined once, joined again after a lost connection, and followed from entry to entry.

import { keyOf } from "./names.js";
import { asRejected } from "./rejected.js";
import { RoomLog } from "./room-log.js";

/** @typedef {import("./rejected.js").Rejected} Rejected */

/**
 * @typedef {object} JoinedRoomsHooks
 * @property {(fields: V1.Request<"join">, options: {isPatient: boolean, onDelay: (error: Rejected) => void}) => Promise<V1.Joined | null>} run
 *   sends a request, once there is a connection
 * @property {<T extends "joined" | "message" | "topic" | "gap" | "error">(type: T, event: Client.Events[T]) => void} emit
 * @property {(entry: V1.Message) => void} onEntry called for each entry of a log, a past one included
 * @property {(room: string, error: Rejected) => void} onRefused called when a room cannot be joined
 * @property {() => void} onSettled called when a request to join a room is done
 */

const MAX_PAGE = 1000;

/** The rooms of a client. */
export class JoinedRooms {
  #connection;
  #hooks;
  /** @type {Map<string, RoomLog>} the logs that are followed, by room as the server writes it */
  #logs = new Map();
  /** @type {Map<string, number>} how many requests to join a room wait for their replies, by key */
  #joining = new Map();
  /** @type {Set<string>} rooms that were left before the reply to a request to join them, by key */
  #unwanted = new Set();

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {JoinedRoomsHooks} hooks
   */
  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = hooks;
  }

  /**
   * Return true while there is no reply to a request to join a room.
   *
   * @param {string} room
   */
  isJoining(room) {
    return this.#joining.has(keyOf(room));
  }

  /**
   * Return the number of a room's last entry, or 0.
   *
   * @param {string} room
   */
  headOf(room) {
    return this.#logs.get(keyOf(room))?.head ?? 0;
  }

  /**
   * Join a room, and follow it.
   *
   * @param {string} room
   * @param {Client.JoinOptions} options
   * @returns {Promise<V1.Joined>}
   */
  async join(room, { since, epoch, isPatient = false }) {
    this.#unwanted.delete(keyOf(room));
    return this.#whileJoining(room, async () => {
      const options = { isPatient, onDelay: this.reportIn(room) };
      try {
        const joined = await this.#hooks.run({ type: "join", room, since, epoch }, options);
        if (joined) return joined;
        return /** @type {V1.Joined} */ (await this.#hooks.run({ type: "join", room }, options)); // the last ones, if `since` was too long ago
      } catch (error) {
        this.#hooks.onRefused(room, asRejected(error));
        throw error;
      }
    });
  }

  /**
   * Join all rooms again on a new connection.
   *
   * @param {Iterable<string>} urgent the rooms to join before other requests are sent
   */
  joinAgain(urgent) {
    const keys = new Set([...urgent].map(keyOf));
    for (const log of this.#logs.values()) this.#joinAgain(log, !keys.has(log.room));
  }

  /** The connection is lost. */
  interrupt() {
    for (const log of this.#logs.values()) log.interrupt();
  }

  /**
   * Do not follow a room any more: the client is no longer in it.
   *
   * @param {string} room
   */
  forget(room) {
    this.#logs.delete(keyOf(room));
  }

  /**
   * Do not follow a room any more. Return false if it is still being joined: it is then left after that.
   *
   * @param {string} room
   */
  leave(room) {
    this.forget(room);
    if (!this.isJoining(room)) return true;
    this.#unwanted.add(keyOf(room));
    return false;
  }

  /**
   * Receive a new entry of a log.
   *
   * @param {V1.Message} entry
   */
  receive(entry) {
    this.#logs.get(entry.room)?.receive(entry);
  }

  /**
   * Begin with a room, or continue with it, after the reply to `join`. Return what it is resolved with: the reply, or null if there were too
   * many messages after `since`.
   *
   * @param {V1.Joined} reply
   * @param {Client.JoinOptions} options
   */
  enter(reply, { since, epoch }) {
    const { room, messages, last } = reply;
    if (this.#unwanted.delete(room)) {
      this.#connection.request({ type: "leave", room }).catch(() => {}); // a lost connection is in no room
      return reply;
    }
    const known = this.#logs.get(room);
    const isPast = since !== undefined && epoch === undefined;
    if (!known && isPast && reply.more) return null;
    const joined = isPast ? { ...reply, more: since > 0 && messages.length > 0 } : reply; // from here on, `more` means older messages
    const resumed = known !== undefined || epoch !== undefined;
    const log = known ?? this.#makeLog(room, epoch === undefined ? { epoch: reply.epoch, last } : { epoch, last: since ?? 0 });
    this.#logs.set(room, log);
    this.#hooks.emit("joined", { ...joined, resumed, messages: resumed ? [] : messages });
    if (resumed) log.resume(reply, since);
    else messages.forEach(this.#hooks.onEntry);
    return joined;
  }

  /**
   * Return a function that emits an error of a request of the client itself.
   *
   * @param {string} room
   * @returns {(error: Rejected) => void}
   */
  reportIn(room) {
    return ({ code, message, seconds }) => this.#hooks.emit("error", { type: "error", code, text: message, seconds, room });
  }

  /**
   * @param {RoomLog} log
   * @param {boolean} isPatient
   */
  async #joinAgain(log, isPatient) {
    const { room, epoch, last: since } = log;
    const onDelay = this.reportIn(room);
    await this.#whileJoining(room, async () => {
      try {
        await this.#connection.requestWithRetries({ type: "join", room, since, epoch }, { isPatient, onDelay });
      } catch (error) {
        const rejected = asRejected(error);
        if (rejected.code === "lost" || this.#logs.get(room) !== log) return;
        this.#logs.delete(room);
        onDelay(rejected);
      }
    });
  }

  /**
   * @template T
   * @param {string} room
   * @param {() => Promise<T>} join
   */
  async #whileJoining(room, join) {
    const key = keyOf(room);
    this.#joining.set(key, (this.#joining.get(key) ?? 0) + 1);
    try {
      return await join();
    } finally {
      const others = (this.#joining.get(key) ?? 1) - 1;
      if (others) this.#joining.set(key, others);
      else {
        this.#joining.delete(key);
        this.#unwanted.delete(key);
      }
      this.#hooks.onSettled();
    }
  }

  /**
   * @param {string} room
   * @param {{epoch: string, last: number}} position
   */
  #makeLog(room, position) {
    return new RoomLog(room, position, {
      fetch: (since) => {
        const fields = /** @type {const} */ ({ type: "history", room, since, limit: MAX_PAGE });
        return this.#connection.requestWithRetries(fields, { onDelay: this.reportIn(room) });
      },
      onEntry: (entry) => {
        this.#hooks.emit(entry.type ?? "message", entry);
        this.#hooks.onEntry(entry);
      },
      onGap: (gap) => this.#hooks.emit("gap", gap),
    });
  }
}
