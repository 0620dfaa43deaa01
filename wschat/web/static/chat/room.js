// One room: which part of its log the page has, who its members are, and how both are kept right over gaps and lost connections.

import { announce } from "./announcer.js";
import { makeButton } from "./dom.js";
import { Log } from "./log.js";
import { itemForNotice } from "./message.js";
import { MemberNews } from "./news.js";
import { asRefusal } from "./refusal.js";
import { sentence } from "./text.js";

/**
 * @typedef {object} RoomHooks
 * @property {() => import("./message.js").Me} me
 * @property {(room: Room) => number | null} lastRead returns the number of the last message that was read, or null
 * @property {(room: Room) => void} onMove called when the log was scrolled or drawn
 * @property {(room: Room) => void} onMembers called when the members have changed
 * @property {(room: Room) => void} onTopic called when the topic may have changed
 * @property {(room: Room, message: V1.Message) => void} onMessage called for a new message
 * @property {(message: V1.Message) => void} onPastMessage called for each message that the room had when it was joined first
 * @property {(room: Room) => void} onRejoin called when the user wants to join the room again
 */

const OLDER_MESSAGES = 100;
const MAX_MESSAGES = 1000;
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
  #connection;
  #hooks;
  #first = 0; // the numbers of the first and the last message that the page has
  #last = 0;
  /** @type {V1.Message[] | null} messages that were received while earlier ones are still missing */
  #held = null;
  #isLoading = false;
  #membersTimer = 0;
  #isComplete = true; // there are no messages before the first
  #news = new MemberNews((item) => this.append(item));
  /** @type {HTMLLIElement | null} the notice about the removal, until the server has explained it */
  #removalItem = null;

  /**
   * @param {string} name
   * @param {import("./connection.js").Connection} connection
   * @param {HTMLElement} parent of the log
   * @param {RoomHooks} hooks
   */
  constructor(name, connection, parent, hooks) {
    this.name = name;
    this.#connection = connection;
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
   * Join the room on the server. Ask for the messages since the last one that the page has; the first time for the unread
   * messages, or for the last ones. The reply is for `applyJoined`. Rejects with a Refusal.
   *
   * @param {boolean} isPatient
   * @returns {Promise<V1.Joined>}
   */
  async join(isPatient) {
    this.isJoining = true;
    try {
      if (this.epoch !== null) return await this.#request("join", { since: this.#last, epoch: this.epoch }, { isPatient });
      const lastRead = this.#hooks.lastRead(this);
      if (lastRead !== null) {
        const since = Math.max(0, lastRead - READ_MESSAGES);
        const joined = await this.#request("join", { since }, { isPatient });
        const mayHaveOlder = since > 0 && joined.messages.length > 0;
        if (!joined.more) return { ...joined, more: mayHaveOlder }; // from here on, `more` means older messages
      }
      return await this.#request("join", {}, { isPatient });
    } finally {
      this.isJoining = false;
    }
  }

  /**
   * Show what the server says about the room after joining it: begin, or continue with what the page has.
   *
   * @param {V1.Joined} joined
   */
  applyJoined({ epoch, last, members, moderators = [], topic, messages, more, gap }) {
    const isSameLog = epoch === this.epoch && last >= this.#last;
    const isNewLog = !isSameLog && this.epoch !== null;
    const before = this.members;
    Object.assign(this, { epoch, head: last, isJoined: true, isRemoved: false });
    Object.assign(this, { members: new Set(members), moderators: new Set(moderators) });
    this.#removalItem = null;
    if (before.size <= CROWD) this.#news.resume(this.members, before);
    this.#hooks.onMembers(this);
    this.#setTopic(topic ?? null);
    this.#held = null;
    if (isSameLog) {
      const next = messages[0]?.seq ?? last + 1;
      if (gap && next > this.#last + 1) this.#skipTo(next);
      if (next === this.#last + 1) this.#append(messages);
      if (this.#last < last) this.#fill(last);
      return;
    }
    if (isNewLog) this.log.clear();
    this.#last = last;
    this.#setFirst(messages[0]?.seq ?? last + 1, !more);
    this.log.append(...messages);
    this.log.open();
    messages.forEach(this.#hooks.onPastMessage);
    if (isNewLog) this.showNotice("The history of this room was lost. It starts again here.");
  }

  /**
   * Receive a new message.
   *
   * @param {V1.Message} message
   */
  receive(message) {
    this.head = Math.max(this.head, message.seq);
    if (message.type === "topic") this.#setTopic(message);
    if (this.#held) this.#held.push(message);
    else if (message.seq === this.#last + 1) this.#append([message]);
    else if (message.seq > this.#last) {
      this.#held = [message];
      this.#fill(message.seq - 1);
    }
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
   * @template {"join" | "history"} T
   * @param {T} type
   * @param {object} fields
   * @param {import("./connection.js").RequestOptions} [options]
   */
  #request(type, fields, options) {
    /** @param {string} why */
    const onDelay = (why) => this.showNotice(`${why} Trying again …`);
    return this.#connection.requestWithRetries({ type, room: this.name, ...fields }, { onDelay, ...options });
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

  /**
   * Fetch the missing messages up to a number. Messages that are received meanwhile are held.
   *
   * @param {number} upTo
   */
  async #fill(upTo) {
    const held = (this.#held ??= []);
    while (this.#last < upTo) {
      const reply = await this.#request("history", { since: this.#last, limit: MAX_MESSAGES }).catch(asRefusal);
      const refusal = reply instanceof Error ? reply : null;
      if (refusal?.code === "lost" || this.#held !== held) return; // the next join begins again here
      const messages = reply instanceof Error ? [] : reply.messages;
      const next = messages[0]?.seq ?? upTo + 1;
      if (next > this.#last + 1) this.#skipTo(next, refusal?.message);
      this.#append(messages);
    }
    this.#held = null;
    for (const message of held) this.receive(message);
  }

  /**
   * @param {number} seq
   * @param {string} [why]
   */
  #skipTo(seq, why = "The server no longer has them.") {
    const count = seq - this.#last - 1;
    this.showNotice(`${count.toLocaleString()} ${count === 1 ? "message is" : "messages are"} missing here. ${why}`);
    this.#last = seq - 1;
  }

  /** @param {V1.Message[]} messages */
  #append(messages) {
    const added = messages.filter(({ seq }) => seq > this.#last);
    if (added.length === 0) return;
    const hole = added.findIndex(({ seq }, place) => place > 0 && seq !== added[place - 1].seq + 1);
    if (hole > 0) {
      this.#append(added.slice(0, hole));
      this.#skipTo(added[hole].seq);
      this.#append(added.slice(hole));
      return;
    }
    this.#news.endLine();
    this.#last = added[added.length - 1].seq;
    this.log.append(...added);
    this.#drawEdge();
    for (const message of added) this.#hooks.onMessage(this, message);
  }

  async #loadOlder() {
    if (this.#isLoading || this.#isComplete || !this.#connection.isOpen) return;
    this.#isLoading = true;
    const before = this.#first;
    try {
      const { messages, more } = await this.#request("history", { before, limit: OLDER_MESSAGES });
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
