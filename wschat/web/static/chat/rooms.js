// The rooms: those we are in, the one that is shown, those that there are besides, and how much of each has not been read.
// The one that is shown is in the page's address, as `#/NAME`.

import { addressOf, shortCount, showDirectory } from "./directory.js";
import { byId, oncePerFrame } from "./dom.js";
import { Room } from "./room.js";
import { local } from "./storage.js";

const LOBBY = "lobby";
const ASKED_EVERY = 30_000; // which also notices a network that is gone

/** All rooms. Its hooks: those of a room, `onShow(room, before)` when another one is shown, and `onUnread(count)`. */
export class Rooms {
  current = null;
  #connection;
  #hooks;
  #rooms = new Map();
  #listed = []; // what the server has said last of all rooms
  #seen = local.get("seen", {}); // the number of the last message that was read, for each room
  #isSettled = false; // we have a name, and may join
  #draw = oncePerFrame(() => this.#drawNow());

  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = {
      ...hooks,
      onMove: (room) => this.#moved(room),
      onRejoin: (room) => this.#join(room),
      onMessage: (room, message) => {
        hooks.onMessage(room, message);
        this.#draw();
      },
    };
    window.addEventListener("hashchange", () => addressed() && this.open(addressed()));
    document.addEventListener("visibilitychange", () => this.#moved(this.current));
    window.addEventListener("pagehide", () => this.#remember());
    setInterval(() => this.refresh(), ASKED_EVERY);
  }

  /** Show the room that the address names, or that was shown last. */
  start() {
    for (const name of local.get("rooms", [])) this.#make(name);
    this.#show(this.#make(addressed() ?? local.get("room", LOBBY)));
  }

  /** Our room of this name. */
  find(name) {
    return this.#rooms.get(name);
  }

  /** The names of all rooms that there are, as far as we know. */
  get names() {
    return [...new Set([...this.#rooms.keys(), ...this.#listed.map(({ room }) => room)])];
  }

  /** Be in all our rooms again, after an opening. */
  async rejoin() {
    this.#isSettled = true;
    await Promise.all([...this.#rooms.values()].map((room) => this.#join(room)));
    this.refresh();
  }

  /** There is no connection any more. */
  pause() {
    this.#isSettled = false;
  }

  /** Show a room, and be in it. */
  async open(name) {
    if (this.#rooms.has(name) || !this.#isSettled) return this.#show(this.#make(name));
    try {
      this.admit(await this.#connection.request({ type: "join", room: name }));
    } catch (refusal) {
      this.current.say(refusal.message, "error");
    }
  }

  /** The server has let us into a room that was asked for. */
  admit(joined) {
    const room = this.#make(joined.room);
    room.admit(joined);
    this.#joined(room);
    this.#show(room);
  }

  /** Leave the room that is shown. */
  leave() {
    const { name } = this.current;
    this.#connection.request({ type: "leave", room: name }).catch(() => {}); // then we were not in it
    this.forget(name);
  }

  /** We have left a room: show another one. */
  forget(name) {
    const room = this.#rooms.get(name);
    if (!this.#rooms.delete(name)) return;
    if (room === this.current) {
      const next = this.#rooms.values().next().value ?? this.#make(LOBBY);
      this.#show(next);
      if (this.#isSettled && !next.isJoined) this.#join(next);
    }
    room.log.element.remove();
    this.#remember();
    this.#draw();
  }

  /** Ask which rooms there are. */
  async refresh() {
    if (!this.#isSettled) return;
    try {
      this.#listed = (await this.#connection.request({ type: "rooms" })).rooms;
      this.#draw();
    } catch {
      // The next time.
    }
  }

  async #join(room) {
    const { name } = room;
    try {
      await room.join();
      if (room.name !== name) this.#rooms.delete(name); // the server writes it in another way
      this.#rooms.set(room.name, room);
      this.#joined(room);
    } catch (refusal) {
      if (refusal.code !== "lost") room.say(refusal.message, "error");
    }
  }

  #joined(room) {
    this.#seen[room.name] = Math.min(this.#seen[room.name] ?? room.head, room.head);
    this.#remember();
    this.#moved(room);
  }

  #make(name) {
    if (!this.#rooms.has(name)) this.#rooms.set(name, new Room(name, this.#connection, byId("logs"), this.#hooks));
    return this.#rooms.get(name);
  }

  #show(room) {
    const before = this.current;
    if (room === before) return;
    before?.log.hide();
    this.current = room;
    if (addressed() !== room.name) history[before ? "pushState" : "replaceState"](null, "", addressOf(room.name));
    local.set("room", room.name);
    byId("room").textContent = room.name;
    room.log.show();
    this.#hooks.onShow(room, before);
    this.#draw();
  }

  #moved(room) {
    if (room === this.current && room.log.sticks && !document.hidden && room.epoch !== null) {
      this.#seen[room.name] = room.head;
      room.whispers = 0;
    }
    this.#draw();
  }

  #remember() {
    const joined = [...this.#rooms.values()].filter((room) => room.epoch !== null);
    if (joined.length) local.set("rooms", joined.map(({ name }) => name));
    local.set("seen", this.#seen);
  }

  #unread(name, head) {
    return Math.max(0, head - (this.#seen[name] ?? head));
  }

  #drawNow() {
    const { log } = this.current;
    const rooms = [...this.#rooms.values()].sort((one, other) => one.name.localeCompare(other.name));
    const others = this.#listed.filter(({ room }) => !this.#rooms.has(room));
    const counts = rooms.map((room) => this.#unread(room.name, room.head) + room.whispers);
    const here = counts[rooms.indexOf(this.current)];
    const all = counts.reduce((sum, count) => sum + count, 0);
    const rows = rooms.map((room, place) => [room.name, counts[place], room === this.current]);
    showDirectory(rows, others.map(({ room, last }) => [room, this.#unread(room, last), false]));
    byId("leave").hidden = rooms.length < 2;
    byId("newest").hidden = log.sticks;
    byId("newest").textContent = here ? `${here.toLocaleString()} new ${here === 1 ? "message" : "messages"} ↓` : "To the newest ↓";
    byId("elsewhere").hidden = all === here;
    byId("elsewhere").textContent = shortCount(all - here);
    this.#hooks.onUnread(all);
  }
}

/** The room in the page's address, if there is one. */
function addressed() {
  try {
    return decodeURIComponent(/^#\/(.+)/.exec(location.hash)?.[1] ?? "").normalize("NFKC").toLowerCase() || null;
  } catch {
    return null;
  }
}
