// One room: which part of its log we have, who is in it, and how both are kept right over joins, holes and lost connections.

import { announce } from "./announcer.js";
import { makeButton } from "./dom.js";
import { Log } from "./log.js";
import { itemForNotice } from "./message.js";
import { sentence } from "./text.js";

const OLDER = 100;
const MOST_AT_ONCE = 1000;
const LONGEST_NEWS = 200;
const PEOPLE_SHOWN_EVERY = 200;
const CROWD = 50; // of so many, it is no news who comes and goes
const COMINGS = ["join", "leave"];
const OUTS = ["leave", "kick", "ban"];
const NEWS = {
  join: "has joined",
  leave: "has left",
  kick: "was put out",
  ban: "was banned",
  mute: "was muted",
  unmute: "may speak again",
  unban: "may come in again",
  op: "is a moderator now",
};

/**
 * A room. Its hooks: `me()` says who we are; `onMove(room)` when what is seen of it has changed, `onPeople(room)` when the
 * members have, `onMessage(room, message)` when one has come, `onPast(message)` for each that was there when we came first, and
 * `onRejoin(room)` when somebody wants to be in here again.
 */
export class Room {
  epoch = null; // of its log; null before we have ever been let in
  head = 0; // the newest number that there is, as far as we know
  members = new Set();
  isJoined = false;
  isJoining = false;
  isOut = false; // we have been put out, and do not come back by ourselves
  draft = "";
  whispers = 0; // that are in its log and have not been seen: they have no numbers
  #connection;
  #hooks;
  #first = 0; // of the messages that we have
  #last = 0;
  #held = null; // messages that have come while older ones are still missing
  #isLoading = false;
  #peopleTimer = 0;
  #isWhole = true; // there are none before the first
  #news = null; // the last line of news, as long as nothing else was said

  constructor(name, connection, parent, hooks) {
    this.name = name;
    this.#connection = connection;
    this.#hooks = hooks;
    this.log = new Log(parent, `Messages in ${name}`, {
      me: hooks.me,
      onTop: () => this.#loadOlder(),
      onMove: () => hooks.onMove(this),
      onPrune: (first) => this.#beginAt(first, false),
    });
  }

  /**
   * Ask to be in the room, and for what was said meanwhile or, the first time, what was said last; the answer is for `admit`.
   * Rejects with a Refusal.
   */
  async join(isPatient) {
    this.isJoining = true;
    try {
      return await this.#insist("join", this.epoch === null ? {} : { since: this.#last, epoch: this.epoch }, { isPatient });
    } finally {
      this.isJoining = false;
    }
  }

  /** We have been let in: begin, or go on from what we have. */
  admit({ epoch, last, members, messages, more, gap }) {
    const isKnown = epoch === this.epoch && last >= this.#last;
    const isAnew = !isKnown && this.epoch !== null;
    Object.assign(this, { epoch, head: last, isJoined: true, isOut: false, members: new Set(members) });
    this.#hooks.onPeople(this);
    this.#held = null;
    if (isKnown) {
      const next = messages[0]?.seq ?? last + 1;
      if (gap && next > this.#last + 1) this.#skipTo(next);
      if (next === this.#last + 1) this.#append(messages);
      if (this.#last < last) this.#fill(last);
      return;
    }
    if (isAnew) this.log.clear();
    this.#last = last;
    this.#beginAt(messages[0]?.seq ?? last + 1, !more);
    this.log.append(...messages);
    messages.forEach(this.#hooks.onPast);
    if (isAnew) this.say("The history of this room was lost, and begins anew.");
  }

  /** A new message has come. */
  take(message) {
    this.head = Math.max(this.head, message.seq);
    if (this.#held) this.#held.push(message);
    else if (message.seq === this.#last + 1) this.#append([message]);
    else if (message.seq > this.#last) {
      this.#held = [message];
      this.#fill(message.seq - 1);
    }
  }

  /** Something has happened to somebody. */
  takeMember({ name, event, new_name: newName }) {
    const isOut = OUTS.includes(event);
    if (isOut || event === "rename") this.members.delete(name);
    if (event === "join" || event === "rename") this.members.add(newName ?? name);
    this.#peopleTimer ||= setTimeout(() => this.#showPeople(), PEOPLE_SHOWN_EVERY);
    if (name !== this.#hooks.me().name) {
      const isNoise = this.members.size > CROWD && COMINGS.includes(event);
      if (!isNoise) this.#tell(newName ? sentence`${name} is ${newName} now.` : sentence`${name} ${NEWS[event] ?? event}.`);
    } else if (isOut) this.putOut();
  }

  /** We are not in the room any more, until somebody wants to be. */
  putOut(said = sentence`You are not in ${this.name} any more.`, kind = "notice") {
    this.isJoined = false;
    this.isOut = true;
    this.say(said, kind, makeButton("link", "Join again", () => this.#hooks.onRejoin(this)));
  }

  /** Put a line of the page's own below the messages. */
  say(said, kind = "notice", ...actions) {
    this.show(itemForNotice(said, kind, ...actions));
    if (!this.log.element.hidden) announce(said.textContent ?? said);
  }

  /** Put an item below the messages. */
  show(item) {
    this.#news = null;
    this.log.append(item);
  }

  #showPeople() {
    this.#peopleTimer = 0;
    this.#hooks.onPeople(this);
  }

  #insist(type, fields, options) {
    const onDelay = (why) => this.say(`${why} Trying again …`);
    return this.#connection.insist({ type, room: this.name, ...fields }, { onDelay, ...options });
  }

  /** Say what happened, on the line where such things were said just before. */
  #tell(said) {
    const isLong = !this.#news || this.#news.textContent.length > LONGEST_NEWS;
    if (isLong) {
      const item = itemForNotice(said, "news");
      this.show(item);
      this.#news = item;
    } else this.#news.firstChild.append(" ", said);
  }

  /** Fetch what is missing up to a number; what comes meanwhile has to wait. */
  async #fill(upTo) {
    const held = (this.#held ??= []);
    while (this.#last < upTo) {
      const answer = await this.#insist("history", { since: this.#last, limit: MOST_AT_ONCE }).catch((refusal) => refusal);
      if (answer.code === "lost" || this.#held !== held) return; // a new connection begins again here
      const { messages = [], message: why } = answer; // those, or why there are none
      const next = messages[0]?.seq ?? upTo + 1;
      if (next > this.#last + 1) this.#skipTo(next, why);
      this.#append(messages);
    }
    this.#held = null;
    for (const message of held) this.take(message);
  }

  #skipTo(seq, why = "the server has not kept them.") {
    this.say(`${(seq - this.#last - 1).toLocaleString()} messages are missing here: ${why}`);
    this.#last = seq - 1;
  }

  #append(messages) {
    const added = messages.filter(({ seq }) => seq > this.#last);
    if (added.length === 0) return;
    this.#news = null;
    this.#last = added.at(-1).seq;
    this.log.append(...added);
    this.#drawEdge();
    for (const message of added) this.#hooks.onMessage(this, message);
  }

  async #loadOlder() {
    if (this.#isLoading || this.#isWhole || !this.#connection.isOpen) return;
    this.#isLoading = true;
    const before = this.#first;
    try {
      const { messages, more } = await this.#insist("history", { before, limit: OLDER });
      if (before === this.#first) {
        this.#beginAt(messages[0]?.seq ?? before, !more);
        this.log.prepend(messages);
      }
    } catch {
      // The next scrolling asks again.
    }
    this.#isLoading = false;
  }

  #beginAt(first, isWhole) {
    this.#first = first;
    this.#isWhole = isWhole;
    this.#drawEdge();
  }

  #drawEdge() {
    let said = sentence`This is where ${this.name} begins.`;
    if (!this.#isWhole) said = sentence`Loading what was said before …`;
    else if (this.#first > 1) said = sentence`What was said before is no longer kept.`;
    else if (this.#last === 0) said = sentence`Nothing has been said in ${this.name} yet.`;
    if (this.log.edge.textContent !== said.textContent) this.log.edge.replaceChildren(said);
  }
}
