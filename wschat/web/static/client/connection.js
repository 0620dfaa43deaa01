// The connection to the server: one object over any number of WebSockets. It opens another one when one is lost.

import { parseEvent } from "./event-parser.js";
import { pause } from "./pause.js";
import { RateLimiter } from "./rate-limiter.js";
import { fetchRefusal, isFinal } from "./refusals.js";
import { Rejected, asRejected } from "./rejected.js";
import { uuid } from "./uuid.js";
import { watchWaking } from "./waking.js";

/**
 * @typedef {object} ConnectionHooks
 * @property {() => URL} address returns the address to connect to, with the credentials in its query
 * @property {() => void} onConnecting called when a WebSocket is being opened
 * @property {(welcome: V1.Welcome, signal: AbortSignal) => void} onOpen the signal is aborted with a Rejected when this WebSocket is closed
 * @property {(event: V1.Event) => void} onEvent called for events that are not replies
 * @property {(fields: V1.Request<any>, reply: V1.Reply) => unknown} onReply called for each reply, before what was received after it;
 *   the request is resolved with what it returns
 * @property {(until: number, text: string) => void} onWaiting called when the connection is lost, with the time of the next attempt in
 *   milliseconds since 1970, and why the server has refused the last one, or what was wrong with what it sent
 * @property {(error: Rejected) => void} onEnd called when another attempt would not help
 */

/**
 * @typedef {object} RequestOptions
 * @property {() => void} [onSent] called when the request is sent
 * @property {boolean} [isPatient] if other requests may go first
 * @property {number} [timeout] in milliseconds; without a reply in this time the connection is taken to be lost
 */

/**
 * @typedef {object} Pending
 * @property {V1.Request<any>} fields
 * @property {(reply: any) => void} resolve
 * @property {(error: Rejected) => void} reject
 * @property {() => void} onSent
 * @property {boolean} isPatient
 * @property {number} timeout
 * @property {number} sentAt in milliseconds since 1970; 0 if not sent
 */

const SUBPROTOCOL = "wschat.v1";
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 20_000;
const STABLE_AFTER_MS = 10_000; // a connection that was lost earlier counts as a failure
const OPEN_TIMEOUT_MS = 15_000;
const REPLY_TIMEOUT_MS = 12_000;
const PING_AFTER_MS = 25_000; // of silence: a lost network does not close a WebSocket
const WAKE_PING_AFTER_MS = 3000; // of silence, when the connection may have been lost
const WAKE_TIMEOUT_MS = 5000;
const OFFLINE_TIMEOUT_MS = 2000;
const RETRY_PAUSE_MS = 2000;
const CLOSE_TIMEOUT_MS = 5000;
const MAX_TICK_MS = 5000; // a longer interval between two ticks means that the computer was asleep
const NORMAL = 1000; // the close code that releases the name of a guest
const BAD_EVENT = 4002; // the close code after what is no event: browsers do not let a page close with 1002
const REPLACED = 4001; // the close code after another connection has taken over the name

/** A connection that reopens itself. */
export class Connection {
  #hooks;
  #WebSocket;
  /** @type {WebSocket | null} */
  #socket = null;
  #isOpen = false;
  #isWaiting = false;
  #failures = 0;
  #openedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer = undefined;
  #limiter = new RateLimiter({});
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #limiterTimer = undefined;
  /** @type {Pending[]} requests that are not sent yet */
  #queue = [];
  /** @type {Map<string, Pending>} requests without a reply, by id */
  #unanswered = new Map();
  #heardAt = 0;
  #tickedAt = 0;
  /** @type {AbortController | null} aborted when the connection has ended; null while there is none */
  #running = null;
  #opening = new AbortController(); // aborted with a Rejected when the current WebSocket is closed, or another one is opened

  /**
   * @param {typeof WebSocket} WebSocketClass
   * @param {ConnectionHooks} hooks
   */
  constructor(WebSocketClass, hooks) {
    this.#WebSocket = WebSocketClass;
    this.#hooks = hooks;
  }

  /** True until the connection has ended. */
  get isRunning() {
    return this.#running !== null;
  }

  /** True while requests wait to be sent. */
  get isBusy() {
    return this.#queue.length > 0;
  }

  /** Open a WebSocket, in place of the current one. */
  open() {
    this.#drop();
    this.#start();
    const { signal } = (this.#opening = new AbortController());
    this.#hooks.onConnecting();
    if (signal.aborted) return; // a callback has closed the connection, or opened another one
    const address = this.#attempt(() => this.#hooks.address());
    if (!address || signal.aborted) return;
    const socket = this.#attempt(() => new this.#WebSocket(address, SUBPROTOCOL));
    if (!socket) return;
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lose(socket), OPEN_TIMEOUT_MS);
    /** @type {"opening" | "open" | "refused"} */
    let state = "opening";
    const refuse = () => {
      if (state !== "opening") return;
      state = "refused";
      this.#refused(socket, address, signal);
    };
    socket.onopen = () => (state = "open");
    socket.onmessage = ({ data }) => socket === this.#socket && this.#read(socket, data);
    socket.onerror = refuse; // "close" follows, but not in some versions of Node
    socket.onclose = ({ code }) => (state === "open" ? this.#closed(socket, code) : refuse());
  }

  /** Close the connection, which releases the name of a guest, and do not open another one. Return once it is closed. */
  async close() {
    const socket = this.#socket;
    const isClosed = socket && untilClosed(socket);
    socket?.close(NORMAL);
    this.end(new Rejected({ code: "closed", text: "The client was closed." }));
    await isClosed;
  }

  /**
   * Do not open another connection.
   *
   * @param {Rejected} error why
   * @param {number} [closeCode] that of the WebSocket, if it has been closed
   */
  end(error, closeCode) {
    this.#drop(closeCode);
    this.#running?.abort();
    this.#running = null;
    this.#failures = 0;
    error.isFinal = true;
    this.#hooks.onEnd(error);
  }

  /**
   * Send a request and return its reply. Rejects with a Rejected, at once if no WebSocket is open.
   *
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} fields
   * @param {RequestOptions} [options]
   * @returns {Promise<V1.Replies[T]>}
   */
  request(fields, { onSent = () => {}, isPatient = false, timeout = REPLY_TIMEOUT_MS } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) return reject(new Rejected({ code: "lost", text: "There is no connection." }));
      const place = isPatient ? this.#queue.length : this.#queue.findLastIndex((pending) => !pending.isPatient) + 1;
      this.#queue.splice(place, 0, { fields: { id: uuid(), ...fields }, resolve, reject, onSent, isPatient, timeout, sentAt: 0 });
      this.#sendQueue();
    });
  }

  /**
   * Send a request, again and again as long as its error has the code "unavailable" and this WebSocket is open.
   *
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} fields
   * @param {RequestOptions & {onDelay: (error: Rejected) => void}} options `onDelay` is called once, with the first error
   * @returns {Promise<V1.Replies[T]>}
   */
  async requestWithRetries(fields, { onDelay, ...options }) {
    const { signal } = this.#opening;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.request(fields, options);
      } catch (error) {
        const rejected = asRejected(error);
        if (rejected.code !== "unavailable") throw rejected;
        if (attempt === 1) onDelay(rejected);
      }
      await pause(RETRY_PAUSE_MS, signal);
    }
  }

  /**
   * Return what a function returns. If it throws, end the connection: there is no token, or a page with TLS may not connect without it.
   *
   * @template T
   * @param {() => T} make
   */
  #attempt(make) {
    try {
      return make();
    } catch (error) {
      this.end(new Rejected({ code: "refused", text: `${error}` }, { cause: error }));
      return null;
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  #closed(socket, code) {
    if (socket !== this.#socket) return;
    if (code === REPLACED) this.end(new Rejected({ code: "replaced", text: "Another connection has taken over the name." }), code);
    else this.#lose(socket, code);
  }

  /**
   * @param {WebSocket} socket
   * @param {URL} address
   * @param {AbortSignal} signal
   */
  async #refused(socket, address, signal) {
    const refusal = socket === this.#socket ? await fetchRefusal(address, signal) : null; // the timer of the opening bounds this, too
    if (socket !== this.#socket) return;
    if (refusal && isFinal(refusal, address)) this.end(refusal);
    else this.#lose(socket, undefined, refusal?.message);
  }

  /** Watch the connection, until it has ended. */
  #start() {
    if (this.#running) return;
    const running = (this.#running = new AbortController());
    this.#tickedAt = Date.now();
    const timer = setInterval(() => this.#tick(), 1000);
    running.signal.addEventListener("abort", () => clearInterval(timer));
    watchWaking({ onWake: () => this.#wake(), onOffline: () => this.#ping(0, OFFLINE_TIMEOUT_MS) }, running.signal);
  }

  /** The network or the computer may have woken up: reconnect, or check the connection. */
  #wake() {
    if (this.#isWaiting) this.open();
    else this.#ping(WAKE_PING_AFTER_MS, WAKE_TIMEOUT_MS);
  }

  /**
   * Check the connection, if nothing was received for some time. Any reply shows that it works, even an error.
   *
   * @param {number} silence in milliseconds
   * @param {number} timeout in milliseconds
   */
  #ping(silence, timeout) {
    if (this.#isOpen && Date.now() - this.#heardAt > silence) this.request({ type: "ping" }, { timeout }).catch(() => {});
  }

  /**
   * Receive an event. If it is none, the connection is of no use any more.
   *
   * @param {WebSocket} socket
   * @param {string} data
   */
  #read(socket, data) {
    let event;
    try {
      event = parseEvent(data);
    } catch (error) {
      socket.close(BAD_EVENT);
      return this.#lose(socket, undefined, `The server has sent what is no event: ${error instanceof Error ? error.message : error}`);
    }
    this.#receive(event);
  }

  /** @param {V1.Event & {id?: string}} event */
  #receive(event) {
    this.#heardAt = Date.now();
    const pending = this.#unanswered.get(event.id ?? "");
    this.#unanswered.delete(event.id ?? "");
    if (event.type === "welcome") this.#begin(event);
    else if (event.id === undefined) this.#hooks.onEvent(event);
    else if (!pending) return; // the reply to a request that nothing waits for
    else if (event.type !== "error") this.#resolve(pending, /** @type {V1.Reply} */ (event));
    else if (event.code === "too-fast") {
      this.#limiter.block(event.seconds ?? 1);
      this.#queue.unshift(pending);
      this.#sendQueue();
    } else pending.reject(new Rejected(event, { requestType: pending.fields.type }));
  }

  /**
   * @param {Pending} pending
   * @param {V1.Reply} reply
   */
  #resolve(pending, reply) {
    try {
      pending.resolve(this.#hooks.onReply(pending.fields, reply));
    } catch (error) {
      pending.reject(new Rejected({ code: "failed", text: `${error}` }, { wasSent: true, cause: error }));
    }
  }

  /** @param {V1.Welcome} welcome */
  #begin(welcome) {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.#isOpen = true;
    this.#limiter = new RateLimiter(welcome.limits);
    this.#hooks.onOpen(welcome, this.#opening.signal);
  }

  #sendQueue() {
    clearTimeout(this.#limiterTimer);
    while (this.#queue.length) {
      const wait = this.#limiter.acquire();
      if (wait > 0) {
        this.#limiterTimer = setTimeout(() => this.#sendQueue(), Math.ceil(wait));
        return;
      }
      const pending = /** @type {Pending} */ (this.#queue.shift());
      pending.sentAt = Date.now();
      this.#unanswered.set(pending.fields.id ?? "", pending);
      this.#socket?.send(JSON.stringify(pending.fields));
      pending.onSent();
    }
  }

  #tick() {
    const now = Date.now();
    if (now - this.#tickedAt > MAX_TICK_MS) this.#wake();
    this.#tickedAt = now;
    if (this.#isOpen && now - this.#openedAt > STABLE_AFTER_MS) this.#failures = 0;
    /** @param {Pending} pending */
    const isLate = ({ sentAt, timeout }) => now - Math.max(sentAt, this.#heardAt) > timeout;
    if ([...this.#unanswered.values()].some(isLate)) this.#lose(this.#socket);
    else if (this.#unanswered.size === 0) this.#ping(PING_AFTER_MS, REPLY_TIMEOUT_MS);
  }

  /**
   * A WebSocket is closed: open another one after a pause.
   *
   * @param {WebSocket | null} socket
   * @param {number} [closeCode]
   * @param {string} [text]
   */
  #lose(socket, closeCode, text = "") {
    if (socket !== this.#socket) return;
    this.#drop(closeCode);
    this.#isWaiting = true;
    const longest = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    const milliseconds = longest * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.open(), milliseconds);
    this.#hooks.onWaiting(Date.now() + milliseconds, text);
  }

  /** @param {number} [closeCode] */
  #drop(closeCode) {
    const socket = this.#socket;
    const sent = [...this.#unanswered.values()];
    const unsent = this.#queue;
    this.#socket = null;
    this.#isOpen = this.#isWaiting = false;
    this.#unanswered.clear();
    this.#queue = [];
    clearTimeout(this.#timer);
    clearTimeout(this.#limiterTimer);
    socket?.close();
    const error = { code: "lost", text: "The connection was lost." };
    this.#opening.abort(new Rejected(error));
    for (const pending of sent) pending.reject(new Rejected(error, { closeCode, wasSent: true }));
    for (const pending of unsent) pending.reject(new Rejected(error, { closeCode }));
  }
}

/**
 * Wait until a WebSocket is closed, but not for ever: a lost network keeps it open. Some versions of Node have no "close" after an "error".
 *
 * @param {WebSocket} socket
 * @returns {Promise<void>}
 */
function untilClosed(socket) {
  return new Promise((resolve) => {
    if (socket.readyState === socket.CLOSED) return resolve();
    const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    for (const type of ["close", "error"]) socket.addEventListener(type, settle, { once: true });
  });
}
