// The rooms: which we are in, which is shown, and which there are besides.

import { addressed, addressOf, keyOf } from "./address.js";
import { shortCount, showDirectory } from "./directory.js";
import { byId, oncePerFrame } from "./dom.js";
import { Room } from "./room.js";
import { Seen } from "./seen.js";
import { local, tab } from "./storage.js";

const LOBBY = "lobby";
const NOWHERE = "no room"; // which none can be called, because of the blank
const ASKED_EVERY = 60_000;

/**
 * All rooms. Its hooks: those of a room; `onShow(room, before)` when another one is shown, `onUnread(count)`, `onAnswer()` when
 * the server has let us into a room, or not, and `onGone(name, why)` when it does not and there is no such room for us any more.
 */
export class Rooms {
  current = null;
  #connection;
  #hooks;
  #rooms = new Map();
  #listed = []; // what the server has said last of all rooms
  #isListWhole = true;
  #askedAt = 0;
  #refused = new Set(); // rooms that we were not let into
  #left = new Set(); // rooms that we did not want to be in any more
  #seen = new Seen(() => this.#draw());
  #nowhere = null; // what is shown if we are in no room
  #isSettled = false; // we have a name, and may join
  #draw = oncePerFrame(() => this.#drawNow());

  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = {
      ...hooks,
      onMove: (room) => this.#moved(room),
      seen: (room) => this.#seen.number(room.name),
      onRejoin: (room) => this.#comeBack(room),
      onMessage: (room, message) => {
        hooks.onMessage(room, message);
        if (message.from === hooks.me().name) this.#seen.said(room.name, message.seq);
        this.#draw();
      },
    };
    window.addEventListener("hashchange", () => addressed() && this.open(addressed()));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.current.log.lookAway();
      else this.current.log.open();
      this.#keepFresh();
    });
    window.addEventListener("pagehide", () => this.#remember());
    setInterval(() => this.#keepFresh(), ASKED_EVERY / 4);
  }

  /** Show the room that the address names, or that was shown last. */
  start() {
    for (const name of local.get("rooms", [])) this.#make(name);
    for (const name of tab.get("out", [])) this.#make(name).putOut();
    this.#show(this.#make(keyOf(addressed()) || local.get("room", LOBBY)));
  }

  /** The server says something: about a room that we have just been put out of, or to whoever looks at one. */
  notice(text) {
    for (const room of this.#rooms.values()) if (room.explain(text)) return;
    this.current.say(text);
  }

  /** Our room of this name. */
  find(name) {
    return this.#rooms.get(name);
  }

  /** The names of all rooms that there are, as far as we know. */
  get names() {
    return [...new Set([...this.#rooms.keys(), ...this.#listed.map(({ room }) => room)])];
  }

  /** Be in our rooms again, after an opening: first in the one that is shown and in those that are wanted, a set of names. */
  rejoin(wanted) {
    this.#isSettled = true;
    const isUrgent = (room) => room === this.current || wanted.has(room.name);
    const rooms = [...this.#rooms.values()].filter((room) => !room.isOut);
    for (const room of rooms) this.#join(room, !isUrgent(room));
    this.refresh();
  }

  /** There is no connection any more. */
  pause() {
    this.#isSettled = false;
  }

  /** Show a room, however its name is written, and be in it, unless we have been put out of it. */
  async open(name) {
    const key = keyOf(name);
    if (this.#rooms.has(key) || !this.#isSettled) return this.#show(this.#make(key));
    const before = this.current;
    try {
      const room = this.#enter(await this.#connection.request({ type: "join", room: key }));
      if (this.current === before) this.#show(room); // and not if another one was chosen meanwhile
    } catch (refusal) {
      this.current.say(refusal.message, "error");
      this.#showAddress("replaceState");
    }
  }

  /** The same, even if we have been put out of it. */
  enter(name) {
    this.open(name);
    const room = this.#rooms.get(keyOf(name));
    if (room?.isOut) this.#comeBack(room);
  }

  /** The server has let us into a room that was asked for. */
  admit(joined) {
    this.#show(this.#enter(joined));
  }

  /** Leave the room that is shown. */
  leave() {
    const { name } = this.current;
    this.#quit(name);
    this.forget(name);
  }

  /** We have left a room: show another one. */
  forget(name) {
    const room = this.#rooms.get(name);
    this.#left.add(name);
    if (room) this.#remove(room, () => this.#another(name === LOBBY ? [] : [LOBBY]));
  }

  /** Ask which rooms there are. */
  async refresh() {
    if (!this.#isSettled) return;
    this.#askedAt = Date.now();
    try {
      const { rooms, more = false } = await this.#connection.request({ type: "rooms" }, { isPatient: true });
      this.#listed = rooms;
      this.#isListWhole = !more;
      this.#draw();
    } catch {
      // The next time.
    }
  }

  #keepFresh() {
    if (!document.hidden && Date.now() - this.#askedAt >= ASKED_EVERY) this.refresh();
  }

  async #join(room, isPatient = false) {
    const { name } = room;
    const joined = await room.join(isPatient).catch((refusal) => refusal);
    if (joined.code === "lost") return;
    if (!this.#rooms.has(name)) this.#quit(name); // it was left meanwhile
    else if (joined.type === "joined") {
      const entered = this.#enter(joined);
      if (entered.name !== name) this.#remove(room, () => entered); // the server writes it in another way
    } else if (room.epoch === null) await this.#giveUp(room, joined.message);
    else room.putOut(joined.message, "error");
    this.#hooks.onAnswer();
  }

  /** We want to be in a room again that we have been put out of: now, or as soon as there is a connection. */
  #comeBack(room) {
    room.isOut = false;
    this.#remember();
    if (this.#isSettled) this.#join(room);
  }

  #quit(name) {
    this.#connection.request({ type: "leave", room: name }).catch(() => {}); // then we were not in it
  }

  #enter(joined) {
    const room = this.#make(joined.room);
    this.#left.delete(room.name);
    this.#seen.enter(room.name, joined.last);
    room.admit(joined);
    this.#remember();
    this.#moved(room);
    return room;
  }

  /** There is no such room for us: show another one. */
  async #giveUp(room, why) {
    this.#refused.add(room.name);
    if (room === this.current) await this.refresh();
    this.#remove(room, () => this.#another([LOBBY, ...this.#listed.map((other) => other.room)]));
    this.current.say(why, "error");
    this.#hooks.onGone(room.name, why);
  }

  /** A room is not ours any more. If it is shown, another one is. */
  #remove(room, findNext) {
    this.#rooms.delete(room.name);
    if (room === this.current) this.#show(findNext(), "replaceState");
    room.log.element.remove();
    this.#remember();
    this.#draw();
  }

  /** Another room than one that was removed: one of ours, or the first of these that we may be in. */
  #another(names) {
    const name = names.find((other) => !this.#refused.has(other) && !this.#left.has(other));
    const ours = [...this.#rooms.values()].find((room) => !room.isOut) ?? (name && this.#make(name));
    if (!ours) return this.#findNowhere();
    if (this.#isSettled && !ours.isJoined && !ours.isJoining && !ours.isOut) this.#join(ours);
    return ours;
  }

  #findNowhere() {
    if (!this.#nowhere) {
      this.#nowhere = this.#makeRoom(NOWHERE);
      this.#nowhere.say("You are in no room. Join or create one.");
    }
    return this.#nowhere;
  }

  #make(name) {
    if (!this.#rooms.has(name)) this.#rooms.set(name, this.#makeRoom(name));
    return this.#rooms.get(name);
  }

  #makeRoom(name) {
    return new Room(name, this.#connection, byId("logs"), this.#hooks);
  }

  #show(room, how = "pushState") {
    const before = this.current;
    if (room === before) return this.#showAddress("replaceState");
    before?.log.hide();
    this.current = room;
    this.#showAddress(before ? how : "replaceState");
    if (room !== this.#nowhere) local.set("room", room.name);
    byId("room").textContent = room.name;
    byId("say").disabled = room === this.#nowhere;
    room.log.show();
    this.#hooks.onShow(room, before);
    this.#draw();
  }

  #showAddress(how) {
    const address = addressOf(this.current === this.#nowhere ? "" : this.current.name);
    if (location.hash !== address) history[how](null, "", location.pathname + address);
  }

  #moved(room) {
    if (room === this.current && room.log.sticks && !document.hidden && room.epoch !== null) {
      this.#seen.read(room.name, room.head);
      room.whispers = 0;
    }
    this.#draw();
  }

  #remember() {
    const rooms = [...this.#rooms.values()];
    local.set("rooms", rooms.filter(({ isOut }) => !isOut).map(({ name }) => name));
    tab.set("out", rooms.filter(({ isOut }) => isOut).map(({ name }) => name));
  }

  #drawNow() {
    const { log } = this.current;
    const rooms = [...this.#rooms.values()];
    const others = this.#listed.filter(({ room }) => !this.#rooms.has(room));
    const counts = rooms.map((room) => this.#seen.unread(room.name, room.head) + room.whispers);
    const here = counts[rooms.indexOf(this.current)] ?? 0;
    const all = counts.reduce((sum, count) => sum + count, 0);
    const rows = rooms.map((room, place) => [room.name, counts[place], room === this.current]);
    showDirectory(rows, others.map(({ room, last }) => [room, this.#seen.unread(room, last), false]), this.#isListWhole);
    byId("leave").hidden = this.current === this.#nowhere;
    byId("newest").hidden = log.sticks;
    byId("newest").textContent = here ? `${here.toLocaleString()} new ${here === 1 ? "message" : "messages"} ↓` : "Jump to latest ↓";
    byId("elsewhere").hidden = all === here;
    byId("elsewhere").textContent = shortCount(all - here);
    this.#hooks.onUnread(all);
  }
}
