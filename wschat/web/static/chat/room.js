// One room: which part of its log the page has, and who its members are.

import { announce } from "./announcer.js";
import { makeButton } from "./dom.js";
import { Log } from "./log.js";
import { itemForNotice } from "./message.js";
import { MemberNews } from "./news.js";
import { sentence } from "./text.js";

/**
 * @typedef {object} RoomHooks
 * @property {() => import("./message.js").Me} me
 * @property {(room: Room) => number | null} lastRead returns the number of the last message that was read, or null
 * @property {(room: Room) => void} onMove called when the log was scrolled or drawn
 * @property {(room: Room) => void} onMembers called when the members have changed
 * @property {(room: Room) => void} onTopic called when the topic may have changed
 * @property {(room: Room, message: V1.Message) => void} onMessage called for a new message
 * @property {(room: Room) => void} onRejoin called when the user wants to join the room again
 */

const OLDER_MESSAGES = 100;
const READ_MESSAGES = 100; // that are loaded before the unread ones
const MEMBERS_INTERVAL_MS = 200;
const CROWD = 50; // in a room with more members, joining and leaving is not shown
const EXITS = ["leave", "kick", "ban"];
const DEMOTIONS = [...EXITS, "mute"];

/** A room. */
export class Room {
  /** @type {string | null} of its log; null before the first join */
  epoch = null;
  head = 0; // the number of its last message
  /** @type {Set<string>} */
  members = new Set();
  /** @type {Set<string>} */
  moderators = new Set();
  /** @type {Pick<V1.RoomTopic, "text"> | null} its text is empty after it was cleared */
  topic = null;
  isJoined = false;
  isJoining = false;
  isRemoved = false; // a moderator removed the user, so the room is not joined without them
  unseenWhispers = 0; // whispers have no numbers, and are counted apart from messages
  #chat;
  #hooks;
  #first = 0; // the numbers of the first and the last message that the page has
  #last = 0;
  #isLoading = false;
  #membersTimer = 0;
  #isComplete = true; // there are no messages before the first
  #news = new MemberNews((item) => this.append(item));
  /** @type {HTMLLIElement | null} the notice about the removal, until the server has explained it */
  #removalItem = null;

  /**
   * @param {string} name
   * @param {import("../client/wschat.js").ChatClient} chat
   * @param {HTMLElement} parent of the log
   * @param {RoomHooks} hooks
   */
  constructor(name, chat, parent, hooks) {
    this.name = name;
    this.#chat = chat;
    this.#hooks = hooks;
    this.log = new Log(parent, `Messages in ${name}`, {
      me: hooks.me,
      onTop: () => this.#loadOlder(),
      onMove: () => hooks.onMove(this),
      lastRead: () => hooks.lastRead(this),
      onPrune: (first) => this.#setFirst(first, false),
    });
  }

  /**
   * Join the room on the server: after the last message that the page has; the first time with the unread messages, or the last ones.
   * `applyJoined` follows. Rejects with a Rejected.
   *
   * @param {boolean} isPatient
   */
  async join(isPatient) {
    this.isJoining = true;
    const lastRead = this.#hooks.lastRead(this);
    const unread = lastRead === null ? {} : { since: Math.max(0, lastRead - READ_MESSAGES) };
    const known = this.epoch === null ? unread : { since: this.#last, epoch: this.epoch };
    try {
      return await this.#chat.join(this.name, { ...known, isPatient });
    } finally {
      this.isJoining = false;
    }
  }

  /**
   * Show what the server says about the room after joining it: begin, or continue with what the page has.
   *
   * @param {Client.Joined} joined
   */
  applyJoined({ epoch, last, members, moderators = [], topic, messages, more, resumed }) {
    const before = this.members;
    Object.assign(this, { epoch, head: last, isJoined: true, isRemoved: false });
    Object.assign(this, { members: new Set(members), moderators: new Set(moderators) });
    this.#removalItem = null;
    if (before.size <= CROWD) this.#news.resume(this.members, before);
    this.#hooks.onMembers(this);
    this.#setTopic(topic ?? null);
    if (resumed) return; // what was missed follows
    this.#last = last;
    this.#setFirst(messages[0]?.seq ?? last + 1, !more);
    this.log.append(...messages);
    this.log.open();
  }

  /**
   * Receive a new message.
   *
   * @param {V1.Message} message
   */
  receive(message) {
    this.head = Math.max(this.head, message.seq);
    if (message.type === "topic") this.#setTopic(message);
    this.#news.endLine();
    this.#last = message.seq;
    this.log.append(message);
    this.#drawEdge();
    this.#hooks.onMessage(this, message);
  }

  /**
   * Show that messages are missing, before the next one is received.
   *
   * @param {Client.Gap} gap
   */
  applyGap({ first, missing, lost, text }) {
    this.#last = first - 1;
    if (lost) {
      this.log.clear();
      this.#setFirst(first, first === 1);
      this.showNotice("The history of this room was lost. It starts again here.");
    } else this.showNotice(`${missing.toLocaleString()} ${missing === 1 ? "message is" : "messages are"} missing here. ${text}`);
  }

  /**
   * Update the members after an event.
   *
   * @param {V1.Member} event
   */
  updateMember({ name, event, new_name: newName = name, moderator }) {
    const isExit = EXITS.includes(event);
    const wasModerator = this.moderators.has(name);
    if (isExit || event === "rename") this.members.delete(name);
    if (event === "join" || event === "rename") this.members.add(newName);
    if (DEMOTIONS.includes(event) || event === "rename") this.moderators.delete(name);
    if (moderator || event === "op" || (event === "rename" && wasModerator)) this.moderators.add(newName);
    this.#membersTimer ||= setTimeout(() => this.#showMembers(), MEMBERS_INTERVAL_MS);
    if (name !== this.#hooks.me().name) this.#report(name, event, newName);
    else if (isExit) this.setRemoved();
  }

  /**
   * Return true unless the same event was reported in the last seconds.
   *
   * @param {string} event
   * @param {string} name
   */
  isFirstReport(event, name) {
    return this.#news.isFirstReport(event, name);
  }

  /**
   * The user is no longer in the room, until they want to join it again.
   *
   * @param {HTMLElement | string} [text]
   * @param {string} [kind]
   */
  setRemoved(text = sentence`You are no longer in ${this.name}.`, kind = "notice") {
    this.isJoined = false;
    this.isRemoved = true;
    this.#removalItem = this.showNotice(text, kind, makeButton("link", "Join again", () => this.#hooks.onRejoin(this)));
  }

  /**
   * Replace the notice about the removal by the server's explanation. Return false if there is none to replace.
   *
   * @param {string} text
   */
  explainRemoval(text) {
    const notice = this.#removalItem?.firstElementChild;
    this.#removalItem = null;
    notice?.replaceChildren(text);
    return notice !== undefined && notice !== null;
  }

  /**
   * Add a notice to the log.
   *
   * @param {HTMLElement | string} content
   * @param {string} [kind] the class of the item
   * @param {...HTMLElement} actions
   */
  showNotice(content, kind = "notice", ...actions) {
    const item = itemForNotice(content, kind, ...actions);
    this.append(item);
    if (!this.log.element.hidden) announce(typeof content === "string" ? content : (content.textContent ?? ""));
    return item;
  }

  /**
   * Add an item to the log.
   *
   * @param {HTMLLIElement} item
   */
  append(item) {
    this.#news.endLine();
    item.time = Date.now() / 1000;
    this.log.append(item);
  }

  /** @param {Room["topic"]} topic */
  #setTopic(topic) {
    this.topic = topic;
    this.#hooks.onTopic(this);
  }

  #showMembers() {
    this.#membersTimer = 0;
    this.#hooks.onMembers(this);
  }

  /**
   * @param {string} name
   * @param {V1.MemberEventKind} event
   * @param {string} newName
   */
  #report(name, event, newName) {
    const isCrowd = this.members.size > CROWD;
    if (event === "rename") this.#news.rename(name, newName);
    else if (event !== "join" && event !== "leave") this.#news.moderate(name, event);
    else if (!isCrowd) this.#news[event](name);
  }

  async #loadOlder() {
    if (this.#isLoading || this.#isComplete || !this.#chat.connected) return;
    this.#isLoading = true;
    const before = this.#first;
    try {
      const { messages, more } = await this.#chat.history(this.name, { before, limit: OLDER_MESSAGES });
      if (before === this.#first) {
        this.#setFirst(messages[0]?.seq ?? before, !more);
        this.log.prepend(messages);
      }
    } catch {
      // Scrolling again asks again.
    }
    this.#isLoading = false;
  }

  /**
   * @param {number} first
   * @param {boolean} isComplete
   */
  #setFirst(first, isComplete) {
    this.#first = first;
    this.#isComplete = isComplete;
    this.#drawEdge();
  }

  #drawEdge() {
    const text = this.#edgeText();
    if (this.log.edge.textContent !== text.textContent) this.log.edge.replaceChildren(text);
  }

  #edgeText() {
    if (!this.#isComplete) return sentence`Loading earlier messages …`;
    if (this.#first > 1) return sentence`Earlier messages are no longer kept.`;
    if (this.#last === 0) return sentence`No messages in ${this.name} yet`;
    return sentence`This is the beginning of ${this.name}.`;
  }
}
