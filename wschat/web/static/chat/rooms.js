// The rooms: those we are in, the one that is shown, those that there are besides, and how much of each has not been read.
// The one that is shown is in the page's address, as `#/NAME`.

import { byId, fillList, make, oncePerFrame } from "./dom.js";
import { Room } from "./room.js";
import { local } from "./storage.js";

const LOBBY = "lobby";
const ASKED_EVERY = 30_000;
const ADDRESS = /^#\/(.+)$/;
const MOST_LISTED = 200;

/** All rooms. */
export class Rooms {
  current = null;
  #rooms = new Map();
  #listed = []; // what the server has said last of all rooms
  #seen = local.get("seen", {}); // the number of the last message that was read, for each room
  #isSettled = false; // whether we have a name, and may join
  #draw = oncePerFrame(() => this.#drawNow());

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {object} hooks those of `Room`, and
   * @param {(room: Room) => void} hooks.onShow another room is shown
   * @param {(count: number) => void} hooks.onUnread how many messages in our rooms have not been read
   */
  constructor(connection, hooks) {
    this.connection = connection;
    this.hooks = { ...hooks, onMove: (room) => this.#moved(room), onRejoin: (room) => this.#join(room) };
    window.addEventListener("hashchange", () => addressed() && this.open(addressed()));
    document.addEventListener("visibilitychange", () => this.#moved(this.current));
    window.addEventListener("pagehide", () => local.set("seen", this.#seen));
    setInterval(() => this.refresh(), ASKED_EVERY);
  }

  /** Show the room that was shown last, or that the address names. */
  start() {
    for (const name of local.get("rooms", [])) this.#make(name);
    this.#show(this.#make(addressed() ?? local.get("room", LOBBY)));
  }

  /** All our rooms. */
  get all() {
    return [...this.#rooms.values()];
  }

  /** The room of that name, if we are in it. */
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
    await Promise.all(this.all.map((room) => this.#join(room)));
    this.refresh();
  }

  /** There is no connection any more. */
  pause() {
    this.#isSettled = false;
    for (const room of this.all) room.isJoined = false;
  }

  /** Show a room, and be in it. */
  async open(name) {
    if (this.#rooms.has(name)) this.#show(this.#rooms.get(name));
    else if (!this.#isSettled) this.#show(this.#make(name));
    else {
      try {
        this.admitted(await this.connection.request({ type: "join", room: name }));
      } catch (refusal) {
        this.current.say(refusal.message, "error");
      }
    }
  }

  /** The server has let us into a room that was asked for. */
  admitted(joined) {
    const room = this.#make(joined.room);
    room.admit(joined);
    this.#settled(room);
    this.#show(room);
  }

  /** Leave the room that is shown. */
  leave() {
    const { name } = this.current;
    if (this.#isSettled) this.connection.request({ type: "leave", room: name }).catch(() => {}); // then we were not in it
    this.forget(name);
  }

  /** We have left a room: show another one. */
  forget(name) {
    const room = this.#rooms.get(name);
    if (!room) return;
    this.#rooms.delete(name);
    this.#remember();
    if (room === this.current) this.#show(this.#rooms.values().next().value ?? this.#make(LOBBY));
    room.log.element.remove();
    if (!this.current.isJoined && this.#isSettled) this.#join(this.current);
    this.#draw();
  }

  /** Ask which rooms there are. */
  async refresh() {
    if (!this.#isSettled) return;
    try {
      this.#listed = (await this.connection.request({ type: "rooms" })).rooms;
      this.#draw();
    } catch {
      // The next time.
    }
  }

  /** Something has come to a room. */
  changed() {
    this.#draw();
  }

  /** How many messages of a room have not been read. */
  unread(room) {
    return Math.max(0, room.head - (this.#seen[room.name] ?? room.head));
  }

  async #join(room) {
    const { name } = room;
    try {
      await room.join();
      if (room.name !== name) this.#rooms.delete(name); // the server writes it in another way
      this.#rooms.set(room.name, room);
      this.#settled(room);
    } catch (refusal) {
      if (refusal.code !== "lost") room.say(refusal.message, "error");
    }
  }

  #settled(room) {
    this.#seen[room.name] = Math.min(this.#seen[room.name] ?? room.head, room.head);
    this.#remember();
    this.#moved(room);
  }

  #make(name) {
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(name, this.connection, byId("logs"), this.hooks);
      this.#rooms.set(name, room);
    }
    return room;
  }

  #show(room) {
    if (room === this.current) return;
    this.current?.log.hide();
    const before = this.current;
    this.current = room;
    const address = `#/${encodeURIComponent(room.name)}`;
    if (addressed() !== room.name) history[before ? "pushState" : "replaceState"](null, "", address);
    local.set("room", room.name);
    byId("room").textContent = room.name;
    room.log.show();
    this.hooks.onShow(room, before);
    this.#draw();
  }

  #moved(room) {
    if (room === this.current && room.log.sticks && document.visibilityState === "visible" && room.epoch !== null) {
      this.#seen[room.name] = room.head;
    }
    this.#draw();
  }

  #remember() {
    local.set(
      "rooms",
      this.all.filter((room) => room.epoch !== null).map(({ name }) => name),
    );
    local.set("seen", this.#seen);
  }

  #drawNow() {
    const rooms = this.all.sort((one, other) => one.name.localeCompare(other.name));
    const counts = rooms.map((room) => this.unread(room));
    const rows = rooms.map((room, place) => [room.name, counts[place], room === this.current]);
    const others = this.#listed.filter(({ room }) => !this.#rooms.has(room)).slice(0, MOST_LISTED);
    const otherRows = others.map(({ room, last }) => [room, Math.max(0, last - (this.#seen[room] ?? last)), false]);
    fillList(byId("joined"), rows, itemFor);
    fillList(byId("others"), otherRows, itemFor);
    byId("others-part").hidden = others.length === 0;
    byId("leave").hidden = rooms.length < 2;
    const here = this.unread(this.current);
    const all = counts.reduce((sum, count) => sum + count, 0);
    byId("newest").hidden = this.current.log.sticks;
    byId("newest").textContent = here ? `${here.toLocaleString()} new ${here === 1 ? "message" : "messages"} ↓` : "To the newest ↓";
    byId("elsewhere").hidden = all === here;
    byId("elsewhere").textContent = shown(all - here);
    this.hooks.onUnread(all);
  }
}

function itemFor([name, unread, isCurrent]) {
  const link = make("a", unread ? "unread" : "", make("bdi", "", name));
  link.href = `#/${encodeURIComponent(name)}`;
  link.dataset.key = name;
  if (isCurrent) link.ariaCurrent = "page";
  if (unread) link.append(make("span", "badge", shown(unread), make("span", "unseen", " unread")));
  return make("li", "", link);
}

const shown = (count) => (count > 999 ? "999+" : `${count}`);

function addressed() {
  const found = ADDRESS.exec(location.hash);
  try {
    return found && decodeURIComponent(found[1]).normalize("NFKC").toLowerCase();
  } catch {
    return null;
  }
}
