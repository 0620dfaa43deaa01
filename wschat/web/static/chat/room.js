// One room: which part of its log we have, who is in it, and how both are kept right over joins, holes and lost connections.

import { announce } from "./announcer.js";
import { makeButton } from "./dom.js";
import { Log } from "./log.js";
import { itemForNotice } from "./message.js";
import { News } from "./news.js";
import { sentence } from "./text.js";

const OLDER = 100;
const MOST_AT_ONCE = 1000;
const SEEN_BEFORE = 100; // messages that are shown above those that have not been seen
const PEOPLE_SHOWN_EVERY = 200;
const CROWD = 50; // of so many, it is no news who comes and goes
const OUTS = ["leave", "kick", "ban"];
const NO_MODERATOR_ANY_MORE = [...OUTS, "mute"];

/**
 * A room. Its hooks: `me()` says who we are; `onMove(room)` when what is seen of it has changed, `onPeople(room)` when the
 * members have, `onMessage(room, message)` when one has come, `onPast(message)` for each that was there when we came first,
 * `onRejoin(room)` when somebody wants to be in here again, and `seen(room)` is the number of the last message that has been seen.
 */
export class Room {
  epoch = null; // of its log; null before we have ever been let in
  head = 0; // the newest number that there is, as far as we know
  members = new Set();
  moderators = new Set();
  isJoined = false;
  isJoining = false;
  isOut = false; // we have been put out, and do not come back by ourselves
  whispers = 0; // that are in its log and have not been seen: they have no numbers
  #connection;
  #hooks;
  #first = 0; // of the messages that we have
  #last = 0;
  #held = null; // messages that have come while older ones are still missing
  #isLoading = false;
  #peopleTimer = 0;
  #isWhole = true; // there are none before the first
  #news = new News((item) => this.show(item));
  #out = null; // the line that says that we have been put out, until the server says why

  constructor(name, connection, parent, hooks) {
    this.name = name;
    this.#connection = connection;
    this.#hooks = hooks;
    this.log = new Log(parent, `Messages in ${name}`, {
      me: hooks.me,
      onTop: () => this.#loadOlder(),
      onMove: () => hooks.onMove(this),
      seen: () => hooks.seen(this),
      onPrune: (first) => this.#beginAt(first, false),
    });
  }

  /**
   * Ask to be in the room, and for what was said meanwhile or, the first time, for what has not been seen or what was said last;
   * the answer is for `admit`. Rejects with a Refusal.
   */
  async join(isPatient) {
    this.isJoining = true;
    try {
      if (this.epoch !== null) return await this.#insist("join", { since: this.#last, epoch: this.epoch }, { isPatient });
      const seen = this.#hooks.seen(this);
      if (seen !== null) {
        const since = Math.max(0, seen - SEEN_BEFORE);
        const joined = await this.#insist("join", { since }, { isPatient });
        const mayHaveOlder = since > 0 && joined.messages.length > 0;
        if (!joined.more) return { ...joined, more: mayHaveOlder }; // which is what `more` says of the last ones
      }
      return await this.#insist("join", {}, { isPatient });
    } finally {
      this.isJoining = false;
    }
  }

  /** We have been let in: begin, or go on from what we have. */
  admit({ epoch, last, members, moderators = [], messages, more, gap }) {
    const isKnown = epoch === this.epoch && last >= this.#last;
    const isAnew = !isKnown && this.epoch !== null;
    const before = this.members;
    Object.assign(this, { epoch, head: last, isJoined: true, isOut: false });
    Object.assign(this, { members: new Set(members), moderators: new Set(moderators) });
    this.#out = null;
    if (before.size <= CROWD) this.#news.resume(this.members, before);
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
    this.log.open();
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
  takeMember({ name, event, new_name: newName, moderator }) {
    const isOut = OUTS.includes(event);
    const wasModerator = this.moderators.has(name);
    if (isOut || event === "rename") this.members.delete(name);
    if (event === "join" || event === "rename") this.members.add(newName ?? name);
    if (NO_MODERATOR_ANY_MORE.includes(event) || event === "rename") this.moderators.delete(name);
    if (moderator || event === "op" || (event === "rename" && wasModerator)) this.moderators.add(newName ?? name);
    this.#peopleTimer ||= setTimeout(() => this.#showPeople(), PEOPLE_SHOWN_EVERY);
    if (name !== this.#hooks.me().name) this.#tell(name, event, newName);
    else if (isOut) this.putOut();
  }

  /** Return true unless the same has been told, or asked here, just now. */
  isNews(event, name) {
    return this.#news.isNew(event, name);
  }

  /** We are not in the room any more, until somebody wants to be. */
  putOut(said = sentence`You are not in ${this.name} any more.`, kind = "notice") {
    this.isJoined = false;
    this.isOut = true;
    this.#out = this.say(said, kind, makeButton("link", "Join again", () => this.#hooks.onRejoin(this)));
  }

  /** The server says in words why we have been put out: these take the place of our own. Return false if it is about something else. */
  explain(text) {
    if (!this.#out || !text.endsWith(` ${this.name}.`)) return false;
    this.#out.firstChild.replaceChildren(text);
    this.#out = null;
    return true;
  }

  /** Put a line of the page's own below the messages. */
  say(said, kind = "notice", ...actions) {
    const item = itemForNotice(said, kind, ...actions);
    this.show(item);
    if (!this.log.element.hidden) announce(said.textContent ?? said);
    return item;
  }

  /** Put an item below the messages. */
  show(item) {
    this.#news.close();
    item.time = Date.now() / 1000;
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

  #tell(name, event, newName) {
    const isCrowd = this.members.size > CROWD;
    if (event === "rename") this.#news.rename(name, newName);
    else if (event !== "join" && event !== "leave") this.#news.moderate(name, event);
    else if (!isCrowd) this.#news[event](name);
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
    const count = seq - this.#last - 1;
    this.say(`${count.toLocaleString()} ${count === 1 ? "message is" : "messages are"} missing here: ${why}`);
    this.#last = seq - 1;
  }

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
    this.#news.close();
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
    else if (this.#last === 0) said = sentence`No messages in ${this.name} yet`;
    if (this.log.edge.textContent !== said.textContent) this.log.edge.replaceChildren(said);
  }
}
