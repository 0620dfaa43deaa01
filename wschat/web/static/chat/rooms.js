// The rooms: which the user has joined, which is shown, and which others there are.

import { keyOf } from "../client/names.js";
import { Rejected } from "../client/rejected.js";
import { addressOf, roomInAddress } from "./address.js";
import { badgeText, showDirectory } from "./directory.js";
import { byId, oncePerFrame } from "./dom.js";
import { ReadMarks } from "./read-marks.js";
import { asRefusal } from "./refusal.js";
import { Room } from "./room.js";
import { local, tab } from "./storage.js";

/** @typedef {import("./directory.js").Row} Row */
/** @typedef {Pick<import("./room.js").RoomHooks, "me" | "onMembers" | "onTopic" | "onMessage">} SharedHooks */

/**
 * @typedef {object} OwnHooks
 * @property {(room: Room, before: Room | null) => void} onShow called when another room is shown
 * @property {(count: number) => void} onUnread called with the number of unread messages in all rooms
 * @property {(name: string, why: string) => void} onRefused called when the user cannot join a room, which is then removed
 */

/** @typedef {SharedHooks & OwnHooks} RoomsHooks */

const LOBBY = "lobby";
const PLACEHOLDER = "no room"; // a room's name has no space
const REFRESH_MS = 60_000;

/** All rooms. */
export class Rooms {
  #chat;
  #hooks;
  #roomHooks;
  /** @type {Map<string, Room>} the user's rooms, by name */
  #rooms = new Map();
  /** @type {Room | null} */
  #current = null;
  /** @type {V1.RoomSummary[]} all rooms, as the server listed them last */
  #listed = [];
  #isListComplete = true;
  #refreshedAt = 0;
  /** @type {Set<string>} rooms that the user cannot join */
  #refused = new Set();
  /** @type {Set<string>} rooms that the user has left */
  #left = new Set();
  #marks = new ReadMarks(() => this.#draw());
  /** @type {Room | null} shown if the user is in no room */
  #placeholder = null;
  #draw = oncePerFrame(() => this.#drawNow());

  /**
   * @param {import("../client/wschat.js").ChatClient} chat
   * @param {RoomsHooks} hooks
   */
  constructor(chat, hooks) {
    this.#chat = chat;
    this.#hooks = hooks;
    /** @type {import("./room.js").RoomHooks} */
    this.#roomHooks = {
      ...hooks,
      onMove: (room) => this.#markSeen(room),
      lastRead: (room) => this.#marks.get(room.name),
      onRejoin: (room) => this.#rejoinRoom(room),
      onMessage: (room, message) => {
        hooks.onMessage(room, message);
        if (message.from === hooks.me().name) this.#marks.markOwn(room.name, message.seq);
        this.#draw();
      },
    };
    window.addEventListener("hashchange", () => roomInAddress() && this.open(roomInAddress()));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.current.log.lookAway();
      else this.current.log.open();
      this.#refreshIfOld();
    });
    window.addEventListener("pagehide", () => this.#save());
    setInterval(() => this.#refreshIfOld(), REFRESH_MS / 4);
  }

  /** Show the room in the address, or the one that was shown last. */
  start() {
    for (const name of local.get("rooms", /** @type {string[]} */ ([]))) this.#make(name);
    for (const name of tab.get("out", /** @type {string[]} */ ([]))) this.#make(name).setRemoved();
    this.#show(this.#make(keyOf(roomInAddress()) || local.get("room", LOBBY)));
  }

  /** The room that is shown. */
  get current() {
    if (!this.#current) throw new Error("no room is shown before start()");
    return this.#current;
  }

  /**
   * Show a notice of the server: in the room whose removal it explains, or else in the room that is shown.
   *
   * @param {V1.Notice} notice
   */
  showNotice({ text, room = "", event }) {
    const isRemoval = event === "kick" || event === "ban";
    if (!isRemoval || !this.find(room)?.explainRemoval(text)) this.current.showNotice(text);
  }

  /**
   * Return the user's room of this name.
   *
   * @param {string} name
   */
  find(name) {
    return this.#rooms.get(name);
  }

  /** The names of all known rooms. */
  get names() {
    return [...new Set([...this.#rooms.keys(), ...this.#listed.map(({ room }) => room)])];
  }

  /**
   * Join the user's rooms after connecting, except for those that the client joins again: first the one that is shown and the urgent ones.
   *
   * @param {Set<string>} urgent
   */
  joinNew(urgent) {
    const isNew = (/** @type {Room} */ room) => !room.isJoined && !room.isJoining && !room.isRemoved;
    for (const room of [...this.#rooms.values()].filter(isNew)) this.#join(room, room !== this.current && !urgent.has(room.name));
    this.refresh();
  }

  /**
   * Show a room, and join it unless a moderator removed the user.
   *
   * @param {string} name in any notation
   */
  async open(name) {
    const key = keyOf(name);
    if (this.#rooms.has(key) || !this.#chat.connected) return this.#show(this.#make(key));
    const before = this.current;
    try {
      const { room } = await this.#chat.join(key);
      if (this.current === before) this.#show(this.#make(room)); // unless the user chose another one meanwhile
    } catch (error) {
      this.current.showNotice(asRefusal(error).message, "error");
      this.#showAddress("replaceState");
    }
  }

  /**
   * Show and join a room, even if a moderator removed the user.
   *
   * @param {string} name in any notation
   */
  openAndJoin(name) {
    this.open(name);
    const room = this.#rooms.get(keyOf(name));
    if (room?.isRemoved) this.#rejoinRoom(room);
  }

  /**
   * Show a room that the user has joined by a command.
   *
   * @param {V1.Joined} joined
   */
  showJoined({ room }) {
    this.#show(this.#make(room));
  }

  /** Leave the room that is shown. */
  leave() {
    const { name } = this.current;
    this.#chat.leave(name).catch(() => {}); // the user is not in the room
    this.forget(name);
  }

  /**
   * Remove a room that the user has left, and show another one.
   *
   * @param {string} name
   */
  forget(name) {
    const room = this.#rooms.get(name);
    this.#left.add(name);
    if (room) this.#remove(room, () => this.#chooseAnother(name === LOBBY ? [] : [LOBBY]));
  }

  /** Fetch the list of all rooms. */
  async refresh() {
    if (!this.#chat.connected) return;
    this.#refreshedAt = Date.now();
    try {
      const { rooms, more = false } = await this.#chat.run("rooms", {}, { isPatient: true });
      this.#listed = rooms;
      this.#isListComplete = !more;
      this.#draw();
    } catch {
      // It is fetched again later.
    }
  }

  #refreshIfOld() {
    if (!document.hidden && Date.now() - this.#refreshedAt >= REFRESH_MS) this.refresh();
  }

  /**
   * @param {Room} room
   * @param {boolean} [isPatient]
   */
  async #join(room, isPatient = false) {
    const { name } = room;
    const joined = await room.join(isPatient).catch(asRefusal);
    if (!this.#rooms.has(name)) return; // the user has left it meanwhile
    if (!(joined instanceof Rejected)) {
      if (joined.room !== name) this.#remove(room, () => this.#make(joined.room)); // the server writes its name in another way
    } else if (joined.isFinal) return; // the room is joined again when there is a connection
    else if (room.epoch === null) await this.#removeRefused(room, joined.message);
    else room.setRemoved(joined.message, "error");
  }

  /**
   * Join a room again that a moderator removed the user from, now or after connecting.
   *
   * @param {Room} room
   */
  #rejoinRoom(room) {
    room.isRemoved = false;
    this.#save();
    if (this.#chat.connected) this.#join(room);
  }

  /**
   * A room was joined, first or again.
   *
   * @param {Client.Joined} joined
   */
  addJoined(joined) {
    const room = this.#make(joined.room);
    this.#left.delete(room.name);
    this.#marks.begin(room.name, joined.last);
    room.applyJoined(joined);
    this.#save();
    this.#markSeen(room);
  }

  /**
   * Remove a room that the user cannot join, and show another one.
   *
   * @param {Room} room
   * @param {string} why
   */
  async #removeRefused(room, why) {
    this.#refused.add(room.name);
    if (room === this.current) await this.refresh();
    this.#remove(room, () => this.#chooseAnother([LOBBY, ...this.#listed.map((other) => other.room)]));
    this.current.showNotice(why, "error");
    this.#hooks.onRefused(room.name, why);
  }

  /**
   * Remove a room. If it is shown, show the one that `findNext` returns.
   *
   * @param {Room} room
   * @param {() => Room} findNext
   */
  #remove(room, findNext) {
    this.#rooms.delete(room.name);
    if (room === this.current) this.#show(findNext(), "replaceState");
    room.log.element.remove();
    this.#save();
    this.#draw();
  }

  /**
   * Return the room to show after one was removed: another one of the user's, or the first of these that they can join.
   *
   * @param {string[]} names
   */
  #chooseAnother(names) {
    const name = names.find((other) => !this.#refused.has(other) && !this.#left.has(other));
    const room = [...this.#rooms.values()].find((other) => !other.isRemoved) ?? (name && this.#make(name));
    if (!room) return this.#showPlaceholder();
    if (this.#chat.connected && !room.isJoined && !room.isJoining && !room.isRemoved) this.#join(room);
    return room;
  }

  #showPlaceholder() {
    if (!this.#placeholder) {
      this.#placeholder = this.#makeRoom(PLACEHOLDER);
      this.#placeholder.showNotice("You are not in a room. Join or create one.");
    }
    return this.#placeholder;
  }

  /** @param {string} name */
  #make(name) {
    const room = this.#rooms.get(name) ?? this.#makeRoom(name);
    this.#rooms.set(name, room);
    return room;
  }

  /** @param {string} name */
  #makeRoom(name) {
    return new Room(name, this.#chat, byId("logs"), this.#roomHooks);
  }

  /**
   * @param {Room} room
   * @param {"pushState" | "replaceState"} [how] what to do with the browser's history
   */
  #show(room, how = "pushState") {
    const before = this.#current;
    if (room === before) return this.#showAddress("replaceState");
    before?.log.hide();
    this.#current = room;
    this.#chat.foreground = room.name;
    this.#showAddress(before ? how : "replaceState");
    if (room !== this.#placeholder) local.set("room", room.name);
    byId("room").textContent = room.name;
    byId("say", HTMLTextAreaElement).disabled = room === this.#placeholder;
    room.log.show();
    this.#hooks.onShow(room, before);
    this.#draw();
  }

  /** @param {"pushState" | "replaceState"} how */
  #showAddress(how) {
    const address = addressOf(this.current === this.#placeholder ? "" : this.current.name);
    if (location.hash !== address) history[how](null, "", location.pathname + address);
  }

  /** @param {Room} room */
  #markSeen(room) {
    if (room === this.current && room.log.followsNewest && !document.hidden && room.epoch !== null) {
      this.#marks.markRead(room.name, room.head);
      room.unseenWhispers = 0;
    }
    this.#draw();
  }

  #save() {
    const rooms = [...this.#rooms.values()];
    local.set("rooms", rooms.filter(({ isRemoved }) => !isRemoved).map(({ name }) => name));
    tab.set("out", rooms.filter(({ isRemoved }) => isRemoved).map(({ name }) => name));
  }

  #drawNow() {
    const rooms = [...this.#rooms.values()];
    const others = this.#listed.filter(({ room }) => !this.#rooms.has(room));
    const counts = rooms.map((room) => this.#marks.countUnread(room.name, room.head) + room.unseenWhispers);
    const here = counts[rooms.indexOf(this.current)] ?? 0;
    const all = counts.reduce((sum, count) => sum + count, 0);
    /** @type {Row[]} */
    const joinedRows = rooms.map((room, place) => [room.name, counts[place], room === this.current]);
    /** @type {Row[]} */
    const otherRows = others.map(({ room, last }) => [room, this.#marks.countUnread(room, last), false]);
    showDirectory(joinedRows, otherRows, this.#isListComplete);
    byId("leave").hidden = this.current === this.#placeholder;
    byId("newest").hidden = this.current.log.followsNewest;
    byId("newest").textContent = here ? `${here.toLocaleString()} new ${here === 1 ? "message" : "messages"} ↓` : "Jump to latest ↓";
    byId("elsewhere").hidden = all === here;
    byId("elsewhere").textContent = badgeText(all - here);
    this.#hooks.onUnread(all);
  }
}
