// The connection to the server: one object for the life of the page, over any number of WebSockets.

import { RateLimiter } from "./rate-limiter.js";
import { Refusal, asRefusal } from "./refusal.js";

/**
 * @typedef {object} Credentials
 * @property {URLSearchParams | string} query for the address of a WebSocket
 * @property {{authorization?: string}} headers the same, for other requests
 */

/**
 * @typedef {object} OpenState
 * @property {"open"} phase
 * @property {V1.Welcome} welcome
 * @property {AbortSignal} signal aborted with a Refusal when this WebSocket is closed
 */

/**
 * @typedef {object} RefusedState
 * @property {"refused"} phase
 * @property {string} why
 * @property {number | undefined} status the HTTP status
 * @property {string} challenge the WWW-Authenticate header, or an empty string
 */

/** @typedef {{phase: "waiting", until: number, why: string}} WaitingState `until` is in milliseconds since 1970 */
/** @typedef {OpenState | RefusedState | WaitingState | {phase: "connecting"} | {phase: "replaced"}} State */

/**
 * @typedef {object} ConnectionHooks
 * @property {() => Credentials} credentials
 * @property {(event: V1.Event) => void} onEvent called for events that are not replies
 * @property {(state: State) => void} onState
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
 * @property {(refusal: Refusal) => void} reject
 * @property {() => void} onSent
 * @property {boolean} isPatient
 * @property {number} timeout
 * @property {number} sentAt in milliseconds since 1970; 0 if not sent
 */

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 20_000;
const OPEN_TIMEOUT_MS = 15_000;
const REPLY_TIMEOUT_MS = 12_000;
const PING_AFTER_MS = 25_000; // of silence: a lost network does not close a WebSocket
const WAKE_PING_AFTER_MS = 3000; // of silence, when the connection may have been lost
const WAKE_TIMEOUT_MS = 5000;
const OFFLINE_TIMEOUT_MS = 2000;
const RETRY_PAUSE_MS = 2000;
const MAX_TICK_MS = 5000; // a longer interval between two ticks means that the computer was asleep
const FINAL_STATUSES = [400, 401, 403]; // the same request has no better chance later
const TOO_MANY_REQUESTS = 429;
const REPLACED = 4001; // the close code for a guest who goes on with another connection

/**
 * Wait. Rejects with the signal's reason when it is aborted.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
  });
}

/** A connection that reopens itself. */
export class Connection {
  isOpen = false;
  #hooks;
  /** @type {WebSocket | null} */
  #socket = null;
  #isWaiting = false;
  #failures = 0;
  #timer = 0;
  #limiter = new RateLimiter({});
  #limiterTimer = 0;
  /** @type {Pending[]} requests that are not sent yet */
  #queue = [];
  /** @type {Map<string, Pending>} requests without a reply, by id */
  #unanswered = new Map();
  #lastId = 0;
  #heardAt = 0;
  #tickedAt = Date.now();
  #opening = new AbortController();

  /** @param {ConnectionHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
    setInterval(() => this.#tick(), 1000);
    window.addEventListener("online", () => this.#wake());
    window.addEventListener("offline", () => this.#ping(0, OFFLINE_TIMEOUT_MS)); // this server may still be reachable
    window.addEventListener("pageshow", () => this.#wake());
    document.addEventListener("resume", () => this.#wake());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#wake());
  }

  /** Open a WebSocket, in place of the current one. */
  open() {
    this.#drop();
    this.#hooks.onState({ phase: "connecting" });
    const url = new URL("./", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = `${this.#hooks.credentials().query}`;
    const socket = (this.#socket = new WebSocket(url, "wschat.v1"));
    this.#timer = setTimeout(() => this.#lose(socket), OPEN_TIMEOUT_MS);
    let hasOpened = false;
    socket.onopen = () => (hasOpened = true);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data));
    socket.onclose = async ({ code, reason }) => {
      const refused = hasOpened ? null : await this.#fetchRefusal();
      this.#lose(socket, code, refused?.why ?? reason, refused?.isFinal ? refused : null);
    };
  }

  /**
   * Send a request and return its reply. Rejects with a Refusal.
   *
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} fields
   * @param {RequestOptions} [options]
   * @returns {Promise<V1.Replies[T]>}
   */
  request(fields, { onSent = () => {}, isPatient = false, timeout = REPLY_TIMEOUT_MS } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Refusal({ code: "lost", text: "There is no connection." }));
      const place = isPatient ? this.#queue.length : this.#queue.findLastIndex((pending) => !pending.isPatient) + 1;
      const identified = { id: `r${++this.#lastId}`, ...fields };
      this.#queue.splice(place, 0, { fields: identified, resolve, reject, onSent, isPatient, timeout, sentAt: 0 });
      this.#sendQueue();
    });
  }

  /**
   * Send a request, again and again as long as its refusal has the code "unavailable" and this WebSocket is open.
   *
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} fields
   * @param {RequestOptions & {onDelay: (why: string) => void}} options `onDelay` is called once, with the first refusal's text
   * @returns {Promise<V1.Replies[T]>}
   */
  async requestWithRetries(fields, { onDelay, ...options }) {
    const { signal } = this.#opening;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.request(fields, options);
      } catch (error) {
        const refusal = asRefusal(error);
        if (refusal.code !== "unavailable") throw refusal;
        if (attempt === 1) onDelay(refusal.message);
      }
      await pause(RETRY_PAUSE_MS, signal);
    }
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
    if (this.isOpen && Date.now() - this.#heardAt > silence) this.request({ type: "ping" }, { timeout }).catch(() => {});
  }

  /** @param {V1.Event & {id?: string}} event */
  #receive(event) {
    this.#heardAt = Date.now();
    const pending = this.#unanswered.get(event.id ?? "");
    this.#unanswered.delete(event.id ?? "");
    if (event.type === "welcome") this.#begin(event);
    else if (!pending) this.#hooks.onEvent(event);
    else if (event.type !== "error") pending.resolve(event);
    else if (event.code === "too-fast") {
      this.#limiter.block(event.seconds ?? 1);
      this.#queue.unshift(pending);
      this.#sendQueue();
    } else pending.reject(new Refusal(event, { requestType: pending.fields.type }));
  }

  /** @param {V1.Welcome} welcome */
  #begin(welcome) {
    clearTimeout(this.#timer);
    this.#failures = 0;
    this.isOpen = true;
    this.#limiter = new RateLimiter(welcome.limits);
    this.#opening = new AbortController();
    this.#hooks.onState({ phase: "open", welcome, signal: this.#opening.signal });
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
    /** @param {Pending} pending */
    const isLate = ({ sentAt, timeout }) => now - Math.max(sentAt, this.#heardAt) > timeout;
    if ([...this.#unanswered.values()].some(isLate)) this.#lose(this.#socket);
    else if (this.#unanswered.size === 0) this.#ping(PING_AFTER_MS, REPLY_TIMEOUT_MS);
  }

  /**
   * A WebSocket is closed: open another one after a pause, unless the server has refused it for good.
   *
   * @param {WebSocket | null} socket
   * @param {number} [closeCode]
   * @param {string} [why]
   * @param {Omit<RefusedState, "phase"> | null} [refused]
   */
  #lose(socket, closeCode, why = "", refused = null) {
    if (socket !== this.#socket) return;
    this.#drop(closeCode);
    if (closeCode === REPLACED) return this.#hooks.onState({ phase: "replaced" }); // reconnecting would replace the other one
    this.#isWaiting = true;
    if (refused) return this.#hooks.onState({ ...refused, phase: "refused" });
    const longest = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    const milliseconds = longest * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.open(), milliseconds);
    this.#hooks.onState({ phase: "waiting", until: Date.now() + milliseconds, why });
  }

  /** @param {number} [closeCode] */
  #drop(closeCode) {
    const socket = this.#socket;
    const sent = [...this.#unanswered.values()];
    const unsent = this.#queue;
    this.#socket = null;
    this.isOpen = this.#isWaiting = false;
    this.#unanswered.clear();
    this.#queue = [];
    clearTimeout(this.#timer);
    clearTimeout(this.#limiterTimer);
    socket?.close();
    const error = { code: "lost", text: "The connection was lost." };
    this.#opening.abort(new Refusal(error));
    for (const pending of sent) pending.reject(new Refusal(error, { closeCode, wasSent: true }));
    for (const pending of unsent) pending.reject(new Refusal(error, { closeCode }));
  }

  /**
   * Find out why the server refused a WebSocket, with an HTTP request: browsers do not tell. Return null if it would not be refused.
   *
   * @returns {Promise<Omit<RefusedState, "phase"> & {isFinal: boolean} | null>}
   */
  async #fetchRefusal() {
    try {
      const { headers } = this.#hooks.credentials();
      const credentials = headers.authorization ? "omit" : "same-origin"; // otherwise the browser may ask for a password itself
      const response = await fetch("api/rooms", { cache: "no-store", credentials, headers });
      if (response.ok) return null;
      const { status } = response;
      const isPasswordAttempt = status === TOO_MANY_REQUESTS && headers.authorization?.startsWith("Basic"); // trying again would count
      const challenge = response.headers.get("WWW-Authenticate") ?? "";
      const { text } = await response.json();
      return { why: text, status, challenge, isFinal: FINAL_STATUSES.includes(status) || Boolean(isPasswordAttempt) };
    } catch {
      return null;
    }
  }
}
