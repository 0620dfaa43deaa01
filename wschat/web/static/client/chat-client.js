// The client of a chat: it keeps its name, its rooms and its place in their logs over lost connections, and loses and doubles nothing
// that is said meanwhile.

import { addressOf, credentialsOf } from "./address.js";
import { Bound } from "./bound.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { JoinedRooms } from "./joined-rooms.js";
import { isSameName } from "./names.js";
import { Outbox } from "./outbox.js";
import { Rejected, asRejected, asSent } from "./rejected.js";
import { SignIn } from "./sign-in.js";
import { Store } from "./store.js";
import { uuid } from "./uuid.js";

const MAX_PENDING = 1000;
const ME_PREFIX = "/me ";
const EXITS = ["leave", "kick", "ban"];
const REPEATABLE = new Set(["say", "join", "leave", "who", "rooms", "history", "help", "commands", "ping"]);
const COMMAND = /^\/(leave|nick)(?:\s+(\S+))?\s*$/i; // those that change what the client knows about itself

/** A client with a name, in any number of rooms. It connects once the code that has created it has returned. */
export class ChatClient {
  /** The lines that are not acknowledged. */
  outbox;
  /** The client's name; null before it has one. */
  name = /** @type {string | null} */ (null);
  /** True while there is a connection, on which the client has its name. */
  connected = false;
  /** The error that has ended the client; null before. */
  closed = /** @type {Rejected | null} */ (null);
  /** The room that is joined first after a lost connection. */
  foreground = "";
  #address;
  #credentials;
  #signIn;
  #connection;
  #closing = Promise.resolve();
  #maxPending;
  #bound;
  #rooms;
  #newRooms; // those of the options that were not joined yet
  /** @type {Emitter<Client.Events>} */
  #events = new Emitter();
  /** @type {Map<string, {resolve: (seq: any) => void, reject: (error: Rejected) => void}>} texts that were said, by id */
  #said = new Map();
  /** @type {{resolve: () => void, reject: (error: Rejected) => void}[]} requests that wait for a connection */
  #waiting = [];

  /**
   * @param {string | URL} url the address of the chat: `wss://chat.example/`, or the `https:` one of its page
   * @param {Client.Options} [options]
   */
  constructor(url, options = {}) {
    const { rooms = [], storage, maxPending = MAX_PENDING, WebSocket: WebSocketClass = globalThis.WebSocket } = options;
    if (!WebSocketClass) throw new TypeError("There is no WebSocket here: give the class of the package ws as the option WebSocket.");
    this.#address = addressOf(url);
    this.#credentials = options.credentials ?? (() => credentialsOf(options));
    this.#maxPending = maxPending;
    this.#bound = new Bound(maxPending);
    const store = new Store(() => storage, `wschat ${this.#address.origin}${this.#address.pathname} `);
    const signIn = new SignIn(this, store, options);
    this.#signIn = options.signIn ?? ((welcome, signal) => signIn.signIn(welcome, signal));
    this.#connection = new Connection(/** @type {typeof WebSocket} */ (WebSocketClass), {
      address: () => this.#addressWithCredentials(),
      onConnecting: () => {
        this.#interrupt();
        this.#events.emit("connecting", { type: "connecting" });
      },
      onOpen: (welcome, signal) => this.#begin(welcome, signal),
      onEvent: (event) => this.#receive(event),
      onReply: (fields, reply) => this.#apply(fields, reply),
      onWaiting: (until, text) => {
        this.#interrupt();
        this.#events.emit("waiting", { type: "waiting", until, text });
      },
      onEnd: (error) => this.#end(error),
    });
    this.#rooms = new JoinedRooms(this.#connection, {
      run: (fields, requestOptions) => this.#run(fields, requestOptions),
      emit: (type, event) => this.#events.emit(type, event),
      onEntry: (entry) => this.outbox.matchMessage(entry),
      onRefused: (room, error) => error.isFinal || this.outbox.failRoom(room, error),
      onSettled: () => this.connected && this.outbox.resume(),
    });
    this.outbox = this.#makeOutbox(store, options);
    this.#newRooms = new Set(rooms);
    this.#joinNew();
    queueMicrotask(() => this.closed || this.#connection.isRunning || this.connect());
  }

  /** Connect now: end a pause, replace the connection, or begin again after the client has ended. */
  connect() {
    if (this.closed) {
      this.closed = null;
      this.#joinNew();
    }
    this.#connection.open();
  }

  /**
   * End the client, and release its name. What waits for a reply is rejected with the code "closed". The promise is fulfilled once the name
   * is free, or after 5 seconds; another call returns the same one.
   */
  close() {
    if (!this.closed) this.#closing = this.#connection.close();
    return this.#closing;
  }

  /**
   * Call a function for each event of a type. Return a function that removes the callback.
   *
   * @template {keyof Client.Events} T
   * @param {T} type
   * @param {(event: Client.Events[T]) => void} callback
   */
  on(type, callback) {
    return this.#events.on(type, callback);
  }

  /**
   * Say a text as it is, except for `/me `, and return its number, once the server has made it durable. However often the connection is
   * lost meanwhile, it is in the log once. Rejects with a Rejected; the text will then not be said, but may have been if `wasSent`.
   *
   * @param {string} room
   * @param {string} text
   * @returns {Promise<number>}
   */
  say(room, text) {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(this.closed);
      const id = uuid();
      this.#said.set(id, { resolve, reject });
      this.outbox.add(room, text.startsWith("/") && !text.startsWith(ME_PREFIX) ? `/${text}` : text, { id, isSaid: true });
    });
  }

  /**
   * Join a room, and follow it until `leave`, also after lost connections. The event `joined` comes before those of the room.
   *
   * @param {string} room
   * @param {Client.JoinOptions} [options]
   * @returns {Promise<V1.Joined>}
   */
  join(room, options = {}) {
    return this.#rooms.join(room, options);
  }

  /**
   * Leave a room.
   *
   * @param {string} room
   */
  async leave(room) {
    const isIn = this.#rooms.leave(room);
    if (!isIn || !this.connected) return;
    await this.#bound.run(() => this.#connection.request({ type: "leave", room })).catch(ignoreLost); // another connection is not in it
  }

  /**
   * Return messages before or after a number, or the last ones, 1,000 at most. `more` is true if there are more in that direction.
   *
   * @param {string} room
   * @param {{before?: number, since?: number, limit?: number}} [options]
   */
  async history(room, { before, since, limit = 100 } = {}) {
    const fields = /** @type {const} */ ({ type: "history", room, before, since, limit });
    const { messages, more } = await this.#run(fields, { onDelay: this.#rooms.reportIn(room) });
    return { messages, more };
  }

  /**
   * Return the names of a room's members, in order of arrival.
   *
   * @param {string} room
   */
  async members(room) {
    return (await this.run("who", { room })).members;
  }

  /** Return the rooms that have members or messages. */
  async rooms() {
    /** @type {V1.RoomSummary[]} */
    const found = [];
    for (;;) {
      const { rooms, more = false } = await this.run("rooms", { after: found.at(-1)?.room });
      found.push(...rooms);
      if (!more || rooms.length === 0) return found;
    }
  }

  /**
   * Send a text to one user only. It is not repeated: after a lost connection, it may have arrived.
   *
   * @param {string} name
   * @param {string} text
   */
  async whisper(name, text) {
    await this.run("whisper", { to: name, text });
  }

  /**
   * Tell the other members of a room that the user is typing, if there is a connection and no other request waits to be sent.
   *
   * @param {string} room
   */
  typing(room) {
    if (!this.connected || this.#connection.isBusy) return; // it is not important
    this.#connection.request({ type: "typing", room }).catch(() => {});
  }

  /**
   * Take another name, on this connection. Rejects with the code "lost" without one. With `replace`, it is taken over from the same
   * guest's other connection.
   *
   * @param {string} name
   * @param {{secret?: string | null, replace?: boolean}} [options]
   */
  async nick(name, { secret, replace } = {}) {
    await this.#connection.request({ type: "nick", name, secret, replace });
  }

  /**
   * Send any request, and return its reply: `run("mute", { room: "tea", name: "bob" })`. It waits for a connection. What has no reply when
   * the connection is lost is sent again, unless its effect could be doubled.
   *
   * @template {keyof V1.Replies} T
   * @param {T} type
   * @param {Record<string, unknown>} [fields]
   * @param {{isPatient?: boolean}} [options] if other requests may go first
   * @returns {Promise<V1.Replies[T]>}
   */
  run(type, fields = {}, options = {}) {
    return this.#run({ ...fields, type }, options);
  }

  // The connection

  #addressWithCredentials() {
    const address = new URL(this.#address);
    for (const [name, value] of Object.entries(this.#credentials())) address.searchParams.set(name, value);
    return address;
  }

  /**
   * Take a name, join the rooms again, and send what waits.
   *
   * @param {V1.Welcome} welcome
   * @param {AbortSignal} signal
   */
  async #begin(welcome, signal) {
    if (welcome.name !== null) this.name = welcome.name;
    this.#events.emit("welcome", welcome);
    try {
      await this.#signIn(welcome, signal);
    } catch (error) {
      const rejected = error instanceof Rejected ? error : new Rejected({ code: "failed", text: `${error}` }, { cause: error });
      if (!signal.aborted) this.#connection.end(rejected);
    }
    if (signal.aborted) return;
    this.connected = true;
    this.#rooms.joinAgain([this.foreground, ...this.outbox.rooms]);
    this.#events.emit("connected", { type: "connected" });
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.outbox.resume();
  }

  /** Join the rooms of the options, or end the client if it cannot. */
  #joinNew() {
    for (const room of this.#newRooms) {
      this.join(room).then(
        () => this.#newRooms.delete(room),
        (error) => error.isFinal || this.#connection.end(asRejected(error)),
      );
    }
  }

  /** The connection is lost, or about to be replaced. */
  #interrupt() {
    this.connected = false;
    this.outbox.pause();
    this.#rooms.interrupt();
  }

  /** @param {Rejected} error */
  #end(error) {
    this.closed = error;
    this.#interrupt();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { id, wasTried } of this.outbox.discardSaid()) {
      this.#said.get(id)?.reject(wasTried ? asSent(error, `${error.message} The message may have been said.`) : error);
      this.#said.delete(id);
    }
    this.#events.emit("closed", { type: "closed", error });
  }

  // Requests

  /**
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} fields
   * @param {{isPatient?: boolean, onDelay?: (error: Rejected) => void}} [options] with `onDelay`, the code "unavailable" is waited for
   * @returns {Promise<V1.Replies[T]>}
   */
  #run(fields, options) {
    return this.#bound.run(() => this.#repeat({ id: uuid(), ...fields }, options));
  }

  /**
   * @template {keyof V1.Replies} T
   * @param {V1.Request<T>} request
   * @param {{isPatient?: boolean, onDelay?: (error: Rejected) => void}} [options]
   * @returns {Promise<V1.Replies[T]>}
   */
  async #repeat(request, { onDelay, ...options } = {}) {
    for (;;) {
      await this.#untilConnected();
      try {
        if (onDelay) return await this.#connection.requestWithRetries(request, { ...options, onDelay });
        return await this.#connection.request(request, options);
      } catch (error) {
        const { code, wasSent } = asRejected(error);
        if (code !== "lost" || (wasSent && !REPEATABLE.has(request.type))) throw error;
      }
    }
  }

  async #untilConnected() {
    if (this.closed) throw this.closed;
    if (this.connected) return;
    await new Promise((resolve, reject) => this.#waiting.push({ resolve: () => resolve(undefined), reject }));
  }

  // What is received

  /** @param {V1.Event} event */
  #receive(event) {
    if (event.type === "message" || event.type === "topic") return this.#rooms.receive(event);
    if (event.type === "member" && isSameName(event.name, this.name)) {
      if (EXITS.includes(event.event)) this.#rooms.forget(event.room);
      else if (event.event === "rename") this.name = event.new_name ?? event.name;
    }
    this.#events.emit(/** @type {any} */ (event.type), event);
  }

  /**
   * Note what a request has changed. Return what it is resolved with.
   *
   * @param {V1.Request<any>} fields
   * @param {V1.Reply} reply
   */
  #apply({ type, room, name, text, since, epoch }, reply) {
    if (reply.type === "joined") return this.#rooms.enter(reply, /** @type {Client.JoinOptions} */ ({ since, epoch }));
    const [, command = type, argument = name] = (type === "say" && COMMAND.exec(`${text}`)) || [];
    if (reply.type === "ack" && command.toLowerCase() === "leave") this.#rooms.forget(`${room}`);
    if (reply.type === "ack" && command.toLowerCase() === "nick") this.name = `${argument}`.normalize("NFKC");
    return reply;
  }

  // The outbox

  /**
   * @param {Store} store
   * @param {Client.Options} options
   */
  #makeOutbox(store, { name = null, signIn }) {
    return new Outbox(store, this.#maxPending, {
      send: ({ id, room, text }, onSent) => this.#connection.request({ type: "say", room, text, id }, { onSent }),
      name: () => this.name,
      author: () => (signIn ? null : (this.name ?? name)), // a user who is asked for another name keeps their lines
      canSend: (room) => !this.#rooms.isJoining(room),
      head: (room) => this.#rooms.headOf(room),
      onChange: (room) => this.#events.emit("outbox", { type: "outbox", room }),
      onDone: (item, reply) => {
        this.#events.emit("sent", { type: "sent", item, reply });
        this.#said.get(item.id)?.resolve(reply.type === "ack" ? reply.seq : undefined);
        this.#said.delete(item.id);
      },
      onFail: (item, error) => {
        this.#events.emit("failed", { type: "failed", item, error });
        if (item.isSaid) this.outbox.discard(item);
        this.#said.get(item.id)?.reject(error);
        this.#said.delete(item.id);
      },
    });
  }
}

/** @param {unknown} error */
function ignoreLost(error) {
  if (asRejected(error).code !== "lost") throw error;
}
