// The WebSocket: opening it, again and again if need be, and asking the server for things. One connection lives as long as the
// page; which socket it has just now is nobody else's business.

import { Pace } from "./pace.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
const OPENS_WITHIN = 15_000;
const ANSWERS_WITHIN = 12_000;
const PULSE_AFTER = 25_000; // of silence: a network that is gone closes nothing
const WAKES_AFTER = 3000; // of silence, where there is a reason to suspect it
const WAKES_WITHIN = 5000;
const ASKS_AGAIN_AFTER = 2000;
const PULSE = { type: "help" }; // which costs a server next to nothing
const FIELD = /^The field '.*?' of '.*?': /; // which people have not heard of
const HOW = /: (\?name=|in the Authorization header).*/; // this is how a program would say who it is
const FINAL = [400, 401, 403]; // trying again changes nothing about these
const TOO_MANY = 429;
const REPLACED = 4001; // the close code for a connection whose guest goes on with another one
const OFFLINE_WITHIN = 2000;
const LONGEST_TICK = 5000; // who notices so late that a second has passed was asleep

/** Why a request was not carried out: the server's error, or the code `lost` when the connection was. */
class Refusal extends Error {
  constructor({ text, ...fields }) {
    super(forPeople(text));
    Object.assign(this, fields);
  }
}

const forPeople = (text) => text.replace(FIELD, "").replace(HOW, ".");

/** Wait; rejects at once, with the signal's reason, when it is aborted. */
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

/**
 * The connection to the server, over any number of sockets. Its hooks: `credentials()` to open with, `onEvent(event)` for what
 * is told unasked, and `onState({phase})`: connecting, open (with `welcome`, and a `signal` that is aborted with a Refusal when this
 * opening is over), waiting (`until` when, and `why`), refused (`why`, with the HTTP `status` and perhaps a `challenge`), replaced.
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
  #tickedAt = Date.now();
  #opening = new AbortController();

  constructor(hooks) {
    this.#hooks = hooks;
    setInterval(() => this.#tick(), 1000);
    window.addEventListener("online", () => this.#wake());
    window.addEventListener("offline", () => this.#probe(0, OFFLINE_WITHIN)); // which need not be true of this server
    window.addEventListener("pageshow", () => this.#wake());
    document.addEventListener("resume", () => this.#wake());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#wake());
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
      const refusal = hasOpened ? {} : await this.#explain();
      this.#lost(socket, code, { text: reason, ...refusal });
    };
  }

  /**
   * Ask for something; `onSent` is called when it is on its way. What `isPatient` lets all go first that is not. Who has no answer
   * `within` so many milliseconds takes the connection to be lost. Rejects with a Refusal.
   */
  request(fields, { onSent = () => {}, isPatient = false, within = ANSWERS_WITHIN } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Refusal({ code: "lost", text: "There is no connection." }));
      const place = isPatient ? this.#queue.length : this.#queue.findLastIndex((entry) => !entry.isPatient) + 1;
      this.#queue.splice(place, 0, { fields: { id: `r${++this.#ids}`, ...fields }, resolve, reject, onSent, isPatient, within });
      this.#send();
    });
  }

  /** The same, but what is unavailable just now is asked for again, as long as this opening lasts; `onDelay(why)` is told once. */
  async insist(fields, { onDelay, ...options }) {
    const { signal } = this.#opening;
    for (let tries = 1; ; tries++) {
      try {
        return await this.request(fields, options);
      } catch (refusal) {
        if (refusal.code !== "unavailable") throw refusal;
        if (tries === 1) onDelay(refusal.message);
      }
      await pause(ASKS_AGAIN_AFTER, signal);
    }
  }

  /** Whatever was wrong may be over; or all is lost, and only a question shows it. */
  #wake() {
    if (this.#isWaiting) this.open();
    else this.#probe(WAKES_AFTER, WAKES_WITHIN);
  }

  #probe(silence, within) {
    if (this.isOpen && Date.now() - this.#heardAt > silence) this.request(PULSE, { within }).catch(() => {});
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
      this.#opening = new AbortController();
      this.#hooks.onState({ phase: "open", welcome: event, signal: this.#opening.signal });
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

  #tick() {
    const now = Date.now();
    if (now - this.#tickedAt > LONGEST_TICK) this.#wake();
    this.#tickedAt = now;
    const isLate = ({ sentAt, within }) => now - Math.max(sentAt, this.#heardAt) > within;
    if ([...this.#asked.values()].some(isLate)) this.#lost(this.#socket);
    else if (this.#asked.size === 0) this.#probe(PULSE_AFTER, ANSWERS_WITHIN);
  }

  #lost(socket, closeCode, { text: why, isFinal = false, status, challenge } = {}) {
    if (socket !== this.#socket) return;
    this.#drop(closeCode);
    if (closeCode === REPLACED) return this.#hooks.onState({ phase: "replaced" }); // or both would take it in turns
    this.#isWaiting = true;
    if (isFinal) return this.#hooks.onState({ phase: "refused", why, status, challenge });
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
    const fields = { code: "lost", text: "The connection was lost." };
    this.#opening.abort(new Refusal(fields));
    for (const entry of lost) entry.reject(new Refusal({ ...fields, closeCode, wasSent: sent.includes(entry) }));
  }

  /** Why the server does not let us in: no browser says why a WebSocket was refused, so ask the same over HTTP. */
  async #explain() {
    try {
      const { headers } = this.#hooks.credentials();
      const credentials = headers.authorization ? "omit" : "same-origin"; // or the browser would ask for a password itself
      const answer = await fetch("api/rooms", { cache: "no-store", credentials, headers });
      if (answer.ok) return {};
      const { status } = answer;
      const isGuess = status === TOO_MANY && headers.authorization?.startsWith("Basic"); // each try counts as another one
      const isFinal = FINAL.includes(status) || isGuess;
      return { status, isFinal, challenge: answer.headers.get("WWW-Authenticate") ?? "", text: forPeople((await answer.json()).text) };
    } catch {
      return {};
    }
  }
}
