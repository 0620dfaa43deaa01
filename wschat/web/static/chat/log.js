// The list of messages of one room, as it is on the screen: it sticks to the newest or keeps its place, grows at both ends, and
// stays fast because it draws once a frame and leaves out of the layout what is out of sight. What is in it is the room's business.

import { fillList, make, oncePerFrame } from "./dom.js";
import { itemForDay, itemsFor } from "./message.js";
import { isSameDay } from "./times.js";

const BLOCK = 100;
const DRAWN_IN_A_FRAME = 150;
const MOST_IN_THE_PAGE = 10_000;
const MOST_TO_DRAW = 2000; // for somebody who looks at the newest anyway
const MOST_WAITING = 5000;
const KEPT_OF_TOO_MANY = 200;
const NEAR_BOTTOM = 40;
const NEAR_TOP = 600;
const ABOVE_NEW = 80; // pixels that are seen above the line of what is new

/**
 * The messages of a room on the screen. Its hooks: `me()` says who we are; `seen()` is the number of the last message that has been
 * seen, null for none; `onTop()` when the oldest that is there has nearly
 * been reached, `onMove()` when it was scrolled or drawn, `onPrune(first)` when everything before that number was let go of.
 */
export class Log {
  sticks = true;
  edge = make("p", "edge");
  #below = make("ol");
  #hooks;
  #waiting = []; // messages and other items that are to be drawn
  #unsentRows = null; // makes rows of what is not acknowledged, if that has changed
  #newest = null; // the last message that was drawn
  #count = 0;
  #place = null; // where it was when it was scrolled or hidden
  #width = 0; // that it was drawn with
  #height = 0;
  #time = 0; // of what was drawn last
  #latest = 0; // the number of the last message of somebody else
  #lookedUpTo = 0; // the same, when the user looked here last
  #seen = null; // what comes after the message of this number is below a line that says that it is new
  #isOpening = false; // the log has still to go to that line, when it is drawn
  #draw = oncePerFrame(() => this.#drawNow());
  #remember = oncePerFrame(() => this.#rememberNow());

  constructor(parent, label, hooks) {
    this.#hooks = hooks;
    this.element = make("div", "log", this.edge, this.#below);
    this.element.role = "log";
    this.element.ariaLive = "off"; // the announcer reads what is new: at a bearable pace, and not what is old
    this.element.ariaLabel = label;
    this.element.tabIndex = 0;
    this.element.hidden = true;
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.element.addEventListener("click", () => this.#scrolled()); // which may have shown all of a long message
    new ResizeObserver(() => this.#resized()).observe(this.element);
    parent.append(this.element);
  }

  /** Put messages, or items of other kinds, below. */
  append(...entries) {
    this.#waiting.push(...entries);
    const latest = entries.findLast((entry) => this.#isNews(entry))?.seq ?? this.#latest;
    if (latest < this.#latest) this.#lookedUpTo = 0; // the log has begun anew
    this.#latest = latest;
    if (this.sticks && this.#waiting.length > MOST_WAITING) this.#letGo();
    this.#draw();
  }

  /** Show below everything what this function gives rows of: a key for each, and what makes its item. */
  showUnsent(makeRows) {
    this.#unsentRows = makeRows;
    this.#draw();
  }

  /** Put older messages above, without moving what is seen. */
  prepend(messages) {
    const blocks = [];
    let before = null;
    for (const [place, message] of messages.entries()) {
      if (place % BLOCK === 0) blocks.push(make("ol", "block"));
      blocks.at(-1).append(...itemsFor(message, before, this.#hooks.me()));
      before = message;
    }
    this.#count += messages.length;
    const seen = this.#topmost();
    if (before) this.#rejoin(before);
    this.edge.after(...blocks);
    blocks.forEach(finish);
    this.#placeLine();
    if (seen && !this.sticks) this.#moveTo(seen);
    this.#settle();
  }

  /** Begin anew, with nothing. */
  clear() {
    for (const block of this.#blocks()) block.remove();
    this.#waiting = [];
    this.#newest = null;
    this.#time = 0;
    this.#count = 0;
    this.sticks = true;
  }

  /** Show it: see `open`. */
  show() {
    this.element.hidden = false;
    this.open();
  }

  /** The user looks at it: go to the line above what has come since they looked last, or else to where it was. */
  open() {
    if (this.element.hidden) return;
    this.#line()?.remove();
    const seen = this.#hooks.seen();
    this.#isOpening = seen !== null && this.#latest > Math.max(seen, this.#lookedUpTo);
    this.#seen = this.#isOpening ? seen : null;
    if (this.#isOpening) this.sticks = false;
    this.#drawNow();
    if (!this.#isOpening && this.#seen === null) this.#restore();
  }

  /** The user looks elsewhere: remember the place, and what has come so far. */
  lookAway() {
    this.#place = this.#topmost();
    this.#lookedUpTo = this.#latest;
  }

  /** Hide it. */
  hide() {
    this.lookAway();
    this.element.hidden = true;
  }

  /** Go to the newest. */
  toBottom() {
    this.sticks = true;
    this.#draw();
  }

  #isNews({ seq, from }) {
    return seq && from !== this.#hooks.me().name;
  }

  #blocks() {
    return [...this.element.querySelectorAll(".block")];
  }

  #first() {
    return this.element.querySelector("[data-seq]");
  }

  #drawNow() {
    if (this.element.hidden) return;
    if (this.sticks && this.#waiting.length > MOST_TO_DRAW) this.#letGo();
    for (const entry of this.#waiting.splice(0, DRAWN_IN_A_FRAME)) {
      const block = this.#openBlock();
      block.append(...this.#itemsFor(entry, block.lastElementChild));
    }
    if (this.#isOpening) this.#goToLine();
    if (this.#unsentRows) fillList(this.#below, this.#unsentRows(), ([, makeItem]) => makeItem());
    this.#unsentRows = null;
    if (this.sticks) this.#prune();
    this.#settle();
    if (this.#waiting.length) this.#draw();
  }

  /** The items for a message or another item, below the last one in its block; above the first of a day there is the day. */
  #itemsFor(entry, last) {
    const time = this.#time || undefined;
    if (entry instanceof Element) {
      const isNewDay = !this.#time || (entry.time > this.#time && !isSameDay(entry.time, this.#time));
      if (isNewDay) this.#time = entry.time;
      return isNewDay ? [itemForDay(entry.time), entry] : [entry];
    }
    const items = itemsFor(entry, this.#newest, this.#hooks.me(), { isParted: last !== null && !last.message, time });
    this.#newest = entry;
    this.#time = entry.time;
    this.#count++;
    return items;
  }

  #line() {
    return this.element.querySelector(".new");
  }

  /** Put the line above the first message that is new, in place of the one that there may be. Return it, or null. */
  #placeLine() {
    if (this.#seen === null) return null;
    this.#line()?.remove();
    const items = [...this.element.querySelectorAll("[data-seq]")];
    let first = items.find(({ message }) => message.seq > this.#seen && this.#isNews(message));
    if (!first) return null;
    if (first.classList.contains("goes-on")) {
      const [apart] = itemsFor(first.message, first.message, this.#hooks.me(), { isParted: true });
      first.replaceWith(apart);
      first = apart;
    }
    const line = make("li", "new", "New");
    first.before(line);
    return line;
  }

  /** Put the line there and scroll to it, with a little of what is above it. At the end, the log sticks to the newest again. */
  #goToLine() {
    const line = this.#placeLine();
    if (!line) return;
    this.#isOpening = false;
    const go = () => {
      if (!line.isConnected || this.sticks) return;
      this.element.scrollTop += line.getBoundingClientRect().top - this.element.getBoundingClientRect().top - ABOVE_NEW;
    };
    go();
    this.sticks = this.#waiting.length === 0 && this.#isAtBottom();
    requestAnimationFrame(go); // now that what is in sight has its real size
  }

  /** The block to put the next item in. */
  #openBlock() {
    const last = this.#below.previousElementSibling;
    if (last !== this.edge && !last.classList.contains("done") && last.childElementCount < BLOCK) return last;
    if (last !== this.edge) finish(last);
    const next = make("ol", "block");
    last.after(next);
    return next;
  }

  /** What nobody has looked at for so long would only fill the memory and take time: it can be read again. */
  #letGo() {
    const first = this.#waiting.filter(({ seq }) => seq).at(-KEPT_OF_TOO_MANY)?.seq;
    if (!first) return;
    const kept = this.#waiting.filter((entry) => entry instanceof Element || entry.seq >= first);
    this.clear();
    this.#waiting = kept;
    this.#hooks.onPrune(first);
  }

  #prune() {
    const before = this.#count;
    for (const block of this.#blocks()) {
      if (this.#count <= MOST_IN_THE_PAGE) break;
      this.#count -= block.querySelectorAll("[data-seq]").length;
      block.remove();
    }
    if (this.#count < before) this.#hooks.onPrune(this.#first().message.seq);
  }

  /** What was the first in here comes after another message now, which may be of the same day. */
  #rejoin(before) {
    const day = this.#blocks()[0]?.firstElementChild;
    if (!day?.classList.contains("day") || !isSameDay(before.time, day.time)) return;
    const first = day.nextElementSibling;
    day.remove();
    if (first?.message) first.replaceWith(...itemsFor(first.message, before, this.#hooks.me()));
  }

  /** The message at the top of what is seen, how far it is from there, and its height. */
  #topmost() {
    const top = this.element.getBoundingClientRect().top;
    const block = this.#blocks().findLast((other) => other.getBoundingClientRect().top <= top) ?? this.#blocks()[0];
    const item = block && [...block.children].find((other) => other.message && other.getBoundingClientRect().bottom > top);
    const box = item?.getBoundingClientRect();
    return item && { seq: item.message.seq, distance: box.top - top, height: box.height };
  }

  #moveTo({ seq, distance, height }) {
    const item = this.element.querySelector(`[data-seq="${seq}"]`);
    if (!item) return;
    const box = item.getBoundingClientRect();
    const kept = distance < 0 ? (distance / height) * box.height : distance; // the same part of it is above, or it could be all
    this.element.scrollTop += box.top - this.element.getBoundingClientRect().top - kept;
  }

  /** Go where it was. */
  #restore() {
    const restore = () => this.#place && !this.sticks && this.#moveTo(this.#place);
    restore();
    requestAnimationFrame(restore); // now that what is in sight has its real size
  }

  #rememberNow() {
    const { hidden, clientWidth } = this.element;
    if (hidden || this.sticks || clientWidth !== this.#width) return; // with another width it has not been put back yet
    this.#place = this.#topmost();
  }

  /** In another width all messages have other heights: keep the place. */
  #resized() {
    const { hidden, clientWidth, clientHeight } = this.element;
    if (hidden) return;
    if (clientWidth !== this.#width) this.#restore();
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#settle();
  }

  #settle() {
    if (this.element.hidden) return;
    if (this.sticks) this.element.scrollTop = this.element.scrollHeight;
    this.#moved();
  }

  #scrolled() {
    const { clientHeight, hidden } = this.element;
    if (hidden || clientHeight !== this.#height) return; // a larger field has moved it, and not the user
    this.sticks = this.#isAtBottom();
    if (!this.sticks) this.#remember();
    this.#moved();
  }

  #isAtBottom() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM;
  }

  #moved() {
    this.#hooks.onMove();
    if (this.element.scrollTop < NEAR_TOP && this.#count > 0 && this.#waiting.length === 0) this.#hooks.onTop();
  }
}

/** Nothing is added to a block any more: leave it out of the layout when it is out of sight, but not its height. */
function finish(block) {
  const { height } = block.getBoundingClientRect();
  if (height === 0) return; // the room is not shown
  block.style.containIntrinsicBlockSize = `auto ${height}px`;
  block.classList.add("done");
}
