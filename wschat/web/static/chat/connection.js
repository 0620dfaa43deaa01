// The WebSocket: opening it, again and again if need be, and asking the server for things. One connection object lives as long
// as the page; which socket it has just now is nobody else's business. What is asked is told in `onState` and `onEvent`.

import { Pace } from "./pace.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
const OPENS_WITHIN = 15_000;
const ANSWERS_WITHIN = 20_000;
const FINAL = [400, 401, 403]; // trying again changes nothing about these

/** A request that was not carried out: `code` and `text` of the server's error, or `lost` when the connection was. */
export class Refusal extends Error {
  constructor({ code, text, seconds, closeCode, wasSent }) {
    super(text);
    Object.assign(this, { code, seconds, closeCode, wasSent });
  }
}

/** The connection to the server, over any number of sockets. */
export class Connection {
  #socket = null;
  #welcomed = false;
  #failures = 0;
  #timer = 0;
  #pumpTimer = 0;
  #pace = new Pace({});
  #queue = [];
  #asked = new Map();
  #ids = 0;
  #heardAt = 0;

  /**
   * @param {object} hooks
   * @param {() => {query: URLSearchParams, authorization: ?string}} hooks.credentials what to open with
   * @param {(event: object) => void} hooks.onEvent what the server tells unasked
   * @param {(state: object) => void} hooks.onState `{phase}`: connecting, open (`welcome`), waiting (`until`, `why`), refused (`status`, `why`)
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.isWaiting = false;
    setInterval(() => this.#checkPulse(), 5000);
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  /** Whether requests can be made just now. */
  get isOpen() {
    return this.#welcomed;
  }

  /** Open a socket, in place of the one that there may be. */
  open() {
    this.#drop({});
    this.hooks.onState({ phase: "connecting" });
    const url = new URL("./", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = this.hooks.credentials().query;
    url.hash = "";
    const socket = (this.#socket = new WebSocket(url, "wschat.v1"));
    let hasOpened = false;
    this.#timer = setTimeout(() => this.#lost(socket, {}), OPENS_WITHIN);
    socket.onopen = () => (hasOpened = true);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = async ({ code, reason }) => {
      const refusal = hasOpened ? null : await this.#explain();
      this.#lost(socket, { closeCode: code, why: refusal?.text ?? reason, status: refusal?.status });
    };
  }

  /** Open a socket at once if one is waited for. */
  hurry() {
    if (this.isWaiting) this.open();
  }

  /** Ask for something. `onSent` is called when it is on its way. Rejects with a Refusal. */
  request(fields, onSent = () => {}) {
    return new Promise((resolve, reject) => {
      const entry = { fields: { id: `r${++this.#ids}`, ...fields }, resolve, reject, onSent };
      if (!this.isOpen) return reject(new Refusal({ code: "lost", text: "There is no connection." }));
      this.#queue.push(entry);
      this.#pump();
    });
  }

  /** Tell something that is not worth waiting for, if it can go out at once. */
  mention(fields) {
    if (this.isOpen && this.#queue.length === 0 && this.#pace.take() === 0) this.#socket.send(JSON.stringify(fields));
  }

  #take(event) {
    this.#heardAt = Date.now();
    if (event.type === "welcome") {
      clearTimeout(this.#timer);
      this.#failures = 0;
      this.#welcomed = true;
      this.#pace = new Pace(event.limits);
      this.hooks.onState({ phase: "open", welcome: event });
      return;
    }
    const entry = this.#asked.get(event.id);
    if (!entry) {
      this.hooks.onEvent(event);
      return;
    }
    this.#asked.delete(event.id);
    if (event.type !== "error") entry.resolve(event);
    else if (event.code === "too-fast") {
      this.#pace.hold(event.seconds ?? 1);
      this.#queue.unshift(entry);
      this.#pump();
    } else entry.reject(new Refusal(event));
  }

  #pump() {
    clearTimeout(this.#pumpTimer);
    while (this.#queue.length) {
      const wait = this.#pace.take();
      if (wait > 0) {
        this.#pumpTimer = setTimeout(() => this.#pump(), Math.ceil(wait));
        return;
      }
      const entry = this.#queue.shift();
      entry.sentAt = Date.now();
      this.#asked.set(entry.fields.id, entry);
      this.#socket.send(JSON.stringify(entry.fields));
      entry.onSent();
    }
  }

  /** A network that is gone closes nothing: who gets no answer for long has lost the connection. */
  #checkPulse() {
    const [oldest] = this.#asked.values();
    if (oldest && Date.now() - Math.max(oldest.sentAt, this.#heardAt) > ANSWERS_WITHIN) this.#lost(this.#socket, {});
  }

  #lost(socket, { closeCode, why, status }) {
    if (socket !== this.#socket) return;
    this.#drop({ closeCode });
    if (FINAL.includes(status)) {
      this.isWaiting = true;
      this.hooks.onState({ phase: "refused", status, why });
      return;
    }
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);
    const pause = longest * (0.5 + Math.random() / 2);
    this.isWaiting = true;
    this.#timer = setTimeout(() => this.open(), pause);
    this.hooks.onState({ phase: "waiting", until: Date.now() + pause, why });
  }

  #drop({ closeCode }) {
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = this.isWaiting = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#pumpTimer);
    socket?.close();
    const open = [...this.#asked.values(), ...this.#queue];
    const sent = this.#asked.size;
    this.#asked.clear();
    this.#queue = [];
    open.forEach((entry, place) =>
      entry.reject(new Refusal({ code: "lost", text: "The connection was lost.", closeCode, wasSent: place < sent })),
    );
  }

  /** Why the server does not let us in. A browser does not say why a WebSocket was refused; the same question over HTTP does. */
  async #explain() {
    try {
      const { authorization } = this.hooks.credentials();
      const answer = await fetch("api/rooms", { cache: "no-store", headers: authorization ? { authorization } : {} });
      return answer.ok ? null : { status: answer.status, text: (await answer.json()).text };
    } catch {
      return null;
    }
  }
}
