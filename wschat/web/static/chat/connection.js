// The WebSocket: opening it, again and again if need be, and asking the server for things. One connection lives as long as the
// page; which socket it has just now is nobody else's business.

import { Pace } from "./pace.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
const OPENS_WITHIN = 15_000;
const ANSWERS_WITHIN = 12_000;
const FOR_PROGRAMS = /^The field '.*?' of '.*?': /; // which people have not heard of
const FINAL = [400, 401, 403]; // trying again changes nothing about these

/** Why a request was not carried out: the server's error, or the code `lost` when the connection was. */
class Refusal extends Error {
  constructor({ text, ...fields }) {
    super(text.replace(FOR_PROGRAMS, ""));
    Object.assign(this, fields);
  }
}

/**
 * The connection to the server, over any number of sockets. Its hooks: `credentials()` to open with, `onEvent(event)` for what
 * is told unasked, and `onState({phase})`: connecting, open (with `welcome`), waiting (`until` when, and `why`), refused (`why`).
 */
export class Connection {
  isOpen = false; // and requests may be made
  #hooks;
  #socket = null;
  #isWaiting = false;
  #failures = 0;
  #timer = 0;
  #pace = null;
  #paceTimer = 0;
  #queue = []; // requests that are to be sent
  #asked = new Map(); // those that have been, by their ids
  #ids = 0;
  #heardAt = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    setInterval(() => this.#checkPulse(), 5000);
    window.addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#hurry());
  }

  /** Open a socket, in place of the one that there may be. */
  open() {
    this.#drop();
    this.#hooks.onState({ phase: "connecting" });
    const url = new URL("./", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = this.#hooks.credentials().query;
    const socket = (this.#socket = new WebSocket(url, "wschat.v1"));
    this.#timer = setTimeout(() => this.#lost(socket), OPENS_WITHIN);
    let hasOpened = false;
    socket.onopen = () => (hasOpened = true);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = async ({ code, reason }) => {
      const { status, text = reason } = hasOpened ? {} : await this.#explain();
      this.#lost(socket, code, text, status);
    };
  }

  /** Ask for something; `onSent` is called when it is on its way. Rejects with a Refusal. */
  request(fields, onSent = () => {}) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Refusal({ code: "lost", text: "There is no connection." }));
      this.#queue.push({ fields: { id: `r${++this.#ids}`, ...fields }, resolve, reject, onSent });
      this.#send();
    });
  }

  #hurry() {
    if (this.#isWaiting) this.open();
  }

  #take(event) {
    this.#heardAt = Date.now();
    const entry = this.#asked.get(event.id);
    this.#asked.delete(event.id);
    if (event.type === "welcome") {
      clearTimeout(this.#timer);
      this.#failures = 0;
      this.isOpen = true;
      this.#pace = new Pace(event.limits);
      this.#hooks.onState({ phase: "open", welcome: event });
    } else if (!entry) this.#hooks.onEvent(event);
    else if (event.type !== "error") entry.resolve(event);
    else if (event.code === "too-fast") {
      this.#pace.hold(event.seconds ?? 1);
      this.#queue.unshift(entry);
      this.#send();
    } else entry.reject(new Refusal(event));
  }

  #send() {
    clearTimeout(this.#paceTimer);
    while (this.#queue.length) {
      const wait = this.#pace.take();
      if (wait > 0) {
        this.#paceTimer = setTimeout(() => this.#send(), Math.ceil(wait));
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
    if (oldest && Date.now() - Math.max(oldest.sentAt, this.#heardAt) > ANSWERS_WITHIN) this.#lost(this.#socket);
  }

  #lost(socket, closeCode, why, status) {
    if (socket !== this.#socket) return;
    this.#drop(closeCode);
    this.#isWaiting = true;
    if (FINAL.includes(status)) return this.#hooks.onState({ phase: "refused", why });
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);
    const pause = longest * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.open(), pause);
    this.#hooks.onState({ phase: "waiting", until: Date.now() + pause, why });
  }

  #drop(closeCode) {
    const socket = this.#socket;
    const sent = [...this.#asked.values()];
    const lost = [...sent, ...this.#queue];
    this.#socket = null;
    this.isOpen = this.#isWaiting = false;
    this.#asked.clear();
    this.#queue = [];
    clearTimeout(this.#timer);
    clearTimeout(this.#paceTimer);
    socket?.close();
    for (const entry of lost) {
      entry.reject(new Refusal({ code: "lost", text: "The connection was lost.", closeCode, wasSent: sent.includes(entry) }));
    }
  }

  /** Why the server does not let us in: no browser says why a WebSocket was refused, so ask the same over HTTP. */
  async #explain() {
    try {
      const { headers } = this.#hooks.credentials();
      const credentials = headers.authorization ? "omit" : "same-origin"; // or the browser would ask for a password itself
      const answer = await fetch("api/rooms", { cache: "no-store", credentials, headers });
      return answer.ok ? {} : { status: answer.status, text: (await answer.json()).text };
    } catch {
      return {};
    }
  }
}
