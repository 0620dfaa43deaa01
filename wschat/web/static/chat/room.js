// One room: which part of its log we have, who is in it, and how both are kept right over joins, holes and lost connections.

import { make, makeButton, oncePerFrame } from "./dom.js";
import { Log } from "./log.js";
import { itemForNotice } from "./message.js";

const OLDER = 100;
const MOST_AT_ONCE = 1000;
const NEWS = {
  join: "joined",
  leave: "left",
  kick: "was put out",
  ban: "was banned",
  mute: "was muted",
  unmute: "may speak again",
  unban: "may come in again",
  op: "is a moderator now",
};
const COMINGS = ["join", "leave"];
const OUTS = ["leave", "kick", "ban"];
const NAMES_IN_A_LINE = 8;

/** A room that we are in, or were before the connection was lost. */
export class Room {
  epoch = null;
  first = 0; // of the messages that we have
  last = 0;
  head = 0; // the newest that there is, as far as we know
  members = new Set();
  isJoined = false;
  draft = "";
  #held = null; // messages that came while older ones were still missing
  #isLoading = false;
  #isAtBeginning = true;
  #comings = null; // the line that says who came and went, as long as nothing else was said

  /**
   * @param {string} name
   * @param {import("./connection.js").Connection} connection
   * @param {HTMLElement} parent of the log
   * @param {object} hooks
   * @param {() => object} hooks.me who we are
   * @param {(room: Room) => void} hooks.onMove what is seen of the log has changed
   * @param {(room: Room) => void} hooks.onPeople the members have changed
   * @param {(room: Room, message: object) => void} hooks.onMessage a message has come
   * @param {(room: Room) => void} hooks.onRejoin somebody wants to be in here again
   */
  constructor(name, connection, parent, hooks) {
    this.name = name;
    this.connection = connection;
    this.hooks = hooks;
    this.log = new Log(parent, `Messages in ${name}`, {
      me: hooks.me,
      onTop: () => this.#loadOlder(),
      onMove: () => hooks.onMove(this),
      onPrune: (first) => this.#pruned(first),
    });
    this.peopleChanged = oncePerFrame(() => hooks.onPeople(this));
  }

  /** Be in the room, and get what was said meanwhile or, the first time, what was said last. Rejects with a Refusal. */
  async join() {
    this.#held = null;
    const known = this.epoch === null ? {} : { since: this.last, epoch: this.epoch };
    this.admit(await this.connection.request({ type: "join", room: this.name, ...known }));
  }

  /** We have been let in: go on from what we have. */
  admit(joined) {
    this.name = joined.room;
    this.isJoined = true;
    this.members = new Set(joined.members);
    this.peopleChanged();
    if (this.epoch === null) this.#begin(joined);
    else if (joined.epoch !== this.epoch || joined.last < this.last) {
      this.log.clear();
      this.#begin(joined);
      this.say("The history of this room was lost on the server, and begins anew.");
    } else this.#goOn(joined);
  }

  /** A new message has come. */
  take(message) {
    this.head = Math.max(this.head, message.seq);
    if (this.#held) this.#held.push(message);
    else if (message.seq === this.last + 1) this.#append([message]);
    else if (message.seq > this.last) {
      this.#held = [message];
      this.#fill(message.seq - 1);
    }
  }

  /** Somebody has come, gone, or been renamed, or a moderator has done something. */
  takeMember({ name, event, new_name: newName }) {
    if (event === "join") this.members.add(name);
    if (event === "rename") {
      this.members.delete(name);
      this.members.add(newName);
      this.say(`${name} is called ${newName} now.`, "news");
    } else if (OUTS.includes(event)) this.members.delete(name);
    this.peopleChanged();
    if (name === this.hooks.me().name) {
      if (OUTS.includes(event)) this.#putOut();
    } else if (COMINGS.includes(event)) this.#noteComing(name, event);
    else if (event in NEWS) this.say(`${name} ${NEWS[event]}.`, "news");
  }

  /** Put a line of the page's own below the messages. */
  say(text, kind, ...actions) {
    this.show(itemForNotice(text, kind, ...actions));
  }

  /** Put an item below the messages. */
  show(item) {
    this.#comings = null;
    this.log.appendItem(item);
  }

  #begin({ epoch, last, messages, more }) {
    this.epoch = epoch;
    this.last = this.head = last;
    this.first = messages[0]?.seq ?? last + 1;
    this.#isAtBeginning = !more;
    this.#drawEdge();
    this.log.append(messages);
  }

  #goOn({ last, messages, more, gap }) {
    this.head = last;
    if (gap) this.#skipTo(messages[0]?.seq ?? last + 1);
    this.#append(messages);
    if (more) this.#fill(last);
  }

  /** Fetch what is missing up to a number; what comes meanwhile has to wait. */
  async #fill(upTo) {
    const held = (this.#held ??= []);
    try {
      while (this.last < upTo) {
        const { messages } = await this.connection.request({ type: "history", room: this.name, since: this.last, limit: MOST_AT_ONCE });
        if (this.#held !== held) return; // the connection was lost, and is there again
        if (messages.length === 0 || messages[0].seq > this.last + 1) this.#skipTo(messages[0]?.seq ?? upTo + 1);
        this.#append(messages);
      }
    } catch (refusal) {
      if (refusal.code === "lost") return;
      this.#skipTo(upTo + 1);
    }
    this.#held = null;
    for (const message of held) this.take(message);
  }

  #skipTo(seq) {
    this.say(`${(seq - this.last - 1).toLocaleString()} messages are missing here: the server has not kept them.`, "gap");
    this.last = seq - 1;
  }

  #append(messages) {
    const added = messages.filter(({ seq }) => seq > this.last);
    if (added.length === 0) return;
    this.#comings = null;
    this.last = added.at(-1).seq;
    this.head = Math.max(this.head, this.last);
    this.log.append(added);
    for (const message of added) this.hooks.onMessage(this, message);
  }

  #pruned(first) {
    this.first = first;
    this.#isAtBeginning = false;
    this.#drawEdge();
  }

  async #loadOlder() {
    if (this.#isLoading || this.#isAtBeginning || !this.connection.isOpen) return;
    this.#isLoading = true;
    try {
      const before = this.first;
      const { messages, more } = await this.connection.request({ type: "history", room: this.name, before, limit: OLDER });
      if (before === this.first) {
        this.#isAtBeginning = !more;
        this.first = messages[0]?.seq ?? before;
        this.#drawEdge();
        this.log.prepend(messages);
      }
    } catch {
      // The next scrolling asks again.
    } finally {
      this.#isLoading = false;
    }
  }

  #drawEdge() {
    const text = !this.#isAtBeginning
      ? "Loading what was said before …"
      : this.first > 1
        ? this.last >= this.first
          ? "Older messages are no longer kept."
          : "What was said before is not kept."
        : this.last === 0
          ? `Nothing has been said in ${this.name} yet.`
          : `This is where ${this.name} begins.`;
    this.log.edge.textContent = text;
  }

  #putOut() {
    this.isJoined = false;
    this.say(
      `You are not in ${this.name} any more.`,
      "notice",
      makeButton("link", "Join again", () => this.hooks.onRejoin(this)),
    );
  }

  /** One line says who came and went, until something else is said. */
  #noteComing(name, event) {
    this.#comings ??= { item: null, names: new Map() };
    const { names } = this.#comings;
    if (names.has(name) && names.get(name) !== event) names.delete(name);
    else names.set(name, event);
    const lines = COMINGS.map((kind) => sentence([...names.keys()].filter((other) => names.get(other) === kind), NEWS[kind]));
    const text = lines.filter(Boolean).join(" ");
    const item = text ? itemForNotice(text, "news") : make("li", "news");
    if (this.#comings.item) this.#comings.item.replaceChildren(...item.childNodes);
    else {
      this.#comings.item = item;
      this.log.appendItem(item);
    }
  }
}

function sentence(names, verb) {
  if (names.length === 0) return "";
  const shown = names.slice(0, NAMES_IN_A_LINE);
  const left = names.length - shown.length;
  return `${shown.join(", ")}${left ? ` and ${left} more` : ""} ${verb}.`;
}
