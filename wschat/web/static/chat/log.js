// The log of one room on the screen. It follows the newest message or keeps its place, grows at both ends, and stays fast: it draws
// once a frame, and blocks that are out of sight are left out of the layout. What it shows is decided by the room.

import { fillList, make, oncePerFrame } from "./dom.js";
import { itemForDay, itemsFor } from "./message.js";
import { isSameDay } from "./times.js";

/** @typedef {V1.Message | HTMLLIElement} Entry a message, or an item of another kind */
/** @typedef {readonly [key: string, makeItem: () => HTMLLIElement]} UnsentRow */
/** @typedef {{seq: number, distance: number, height: number}} Place a message, how far below the top it is, and its height, in pixels */

/**
 * @typedef {object} LogHooks
 * @property {() => import("./message.js").Me} me
 * @property {() => number | null} lastRead returns the number of the last message that was read, or null
 * @property {() => void} onTop called when the user comes close to the oldest message
 * @property {() => void} onMove called when the log was scrolled or drawn
 * @property {(first: number) => void} onPrune called when the messages before this number were removed from the page
 */

const BLOCK_SIZE = 100;
const MAX_DRAWN_PER_FRAME = 150;
const MAX_IN_PAGE = 10_000;
const MAX_TO_DRAW = 2000; // while the log follows the newest message
const MAX_WAITING = 5000;
const KEPT_OF_TOO_MANY = 200;
const NEAR_BOTTOM = 40; // pixels
const NEAR_TOP = 600;
const ABOVE_UNREAD = 80; // shown above the line of unread messages

/** The log of one room. */
export class Log {
  followsNewest = true;
  edge = make("p", "edge"); // the line above the oldest message
  #below = make("ol");
  #hooks;
  /** @type {Entry[]} entries that are not drawn yet */
  #waiting = [];
  /** @type {(() => UnsentRow[]) | null} set when the unsent messages have changed */
  #makeUnsentRows = null;
  /** @type {V1.Message | null} the last message that was drawn */
  #newest = null;
  #count = 0;
  /** @type {Place | undefined} where the log was when it was scrolled or hidden */
  #place = undefined;
  #width = 0; // when it was drawn last
  #height = 0;
  #time = 0; // of the last entry that was drawn
  #latest = 0; // the number of the last message by another member
  #latestSeen = 0; // the same, when the user looked at the log last
  /** @type {number | null} messages of others above this number are below a line that says that they are new */
  #lastRead = null;
  #isOpening = false; // the log has to be scrolled to that line once it is drawn
  #draw = oncePerFrame(() => this.#drawNow());
  #savePlace = oncePerFrame(() => this.#savePlaceNow());

  /**
   * @param {HTMLElement} parent
   * @param {string} label
   * @param {LogHooks} hooks
   */
  constructor(parent, label, hooks) {
    this.#hooks = hooks;
    this.element = make("div", "log", this.edge, this.#below);
    this.element.role = "log";
    this.element.ariaLive = "off"; // new messages are read by the announcer, and old ones are not
    this.element.ariaLabel = label;
    this.element.tabIndex = 0;
    this.element.hidden = true;
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.element.addEventListener("click", () => this.#scrolled()); // "Show all" may have changed its height
    new ResizeObserver(() => this.#resized()).observe(this.element);
    parent.append(this.element);
  }

  /**
   * Add messages, or items of other kinds, at the end.
   *
   * @param {...Entry} entries
   */
  append(...entries) {
    this.#waiting.push(...entries);
    const latest = messagesAmong(entries).findLast((message) => this.#isByOther(message))?.seq ?? this.#latest;
    if (latest < this.#latest) this.#latestSeen = 0; // the numbers of this log have begun again
    this.#latest = latest;
    if (this.followsNewest && this.#waiting.length > MAX_WAITING) this.#dropOld();
    this.#draw();
  }

  /**
   * Show unsent messages below all others.
   *
   * @param {() => UnsentRow[]} makeRows
   */
  showUnsent(makeRows) {
    this.#makeUnsentRows = makeRows;
    this.#draw();
  }

  /**
   * Add older messages at the beginning, without moving what is in sight.
   *
   * @param {V1.Message[]} messages
   */
  prepend(messages) {
    const blocks = [];
    let block = null;
    let before = null;
    for (const [place, message] of messages.entries()) {
      if (block === null || place % BLOCK_SIZE === 0) blocks.push((block = make("ol", "block")));
      block.append(...itemsFor(message, before, this.#hooks.me()));
      before = message;
    }
    this.#count += messages.length;
    const place = this.#placeAtTop();
    if (before) this.#mergeDay(before);
    this.edge.after(...blocks);
    blocks.forEach(finishBlock);
    this.#placeLine();
    if (place && !this.followsNewest) this.#moveTo(place);
    this.#settle();
  }

  /** Remove all messages. */
  clear() {
    for (const block of this.#blocks()) block.remove();
    this.#waiting = [];
    this.#newest = null;
    this.#time = 0;
    this.#count = 0;
    this.followsNewest = true;
  }

  /** Show the log, and open it. */
  show() {
    this.element.hidden = false;
    this.open();
  }

  /** Scroll to the first message that is new since the user looked at the log last, or else to the previous place. */
  open() {
    if (this.element.hidden) return;
    this.#line()?.remove();
    const lastRead = this.#hooks.lastRead();
    this.#isOpening = lastRead !== null && this.#latest > Math.max(lastRead, this.#latestSeen);
    this.#lastRead = this.#isOpening ? lastRead : null;
    if (this.#isOpening) this.followsNewest = false;
    this.#drawNow();
    if (!this.#isOpening && this.#lastRead === null) this.#restorePlace();
  }

  /** The user looks elsewhere: remember the place and the last message. */
  lookAway() {
    this.#place = this.#placeAtTop();
    this.#latestSeen = this.#latest;
  }

  /** Hide the log. */
  hide() {
    this.lookAway();
    this.element.hidden = true;
  }

  /** Scroll to the newest message, and follow it. */
  toBottom() {
    this.followsNewest = true;
    this.#draw();
  }

  /** @param {V1.Message} message */
  #isByOther({ from }) {
    return from !== this.#hooks.me().name;
  }

  #blocks() {
    return [.../** @type {NodeListOf<HTMLOListElement>} */ (this.element.querySelectorAll(".block"))];
  }

  #messageItems() {
    return [.../** @type {NodeListOf<HTMLLIElement>} */ (this.element.querySelectorAll("[data-seq]"))];
  }

  #drawNow() {
    if (this.element.hidden) return;
    if (this.followsNewest && this.#waiting.length > MAX_TO_DRAW) this.#dropOld();
    for (const entry of this.#waiting.splice(0, MAX_DRAWN_PER_FRAME)) {
      const block = this.#openBlock();
      block.append(...this.#itemsFor(entry, /** @type {HTMLLIElement | null} */ (block.lastElementChild)));
    }
    if (this.#isOpening) this.#goToLine();
    if (this.#makeUnsentRows) fillList(this.#below, this.#makeUnsentRows(), ([, makeItem]) => makeItem());
    this.#makeUnsentRows = null;
    if (this.followsNewest) this.#prune();
    this.#settle();
    if (this.#waiting.length) this.#draw();
  }

  /**
   * Return the items for an entry, with the day above it if that is a new one.
   *
   * @param {Entry} entry
   * @param {HTMLLIElement | null} last the last item in its block
   */
  #itemsFor(entry, last) {
    const time = this.#time || undefined;
    if (entry instanceof HTMLLIElement) {
      const { time: shownAt = 0 } = entry;
      const isNewDay = !this.#time || (shownAt > this.#time && !isSameDay(shownAt, this.#time));
      if (isNewDay) this.#time = shownAt;
      return isNewDay ? [itemForDay(shownAt), entry] : [entry];
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

  /** Place the line above the first unread message of another member. Return it, or null if there is none. */
  #placeLine() {
    const lastRead = this.#lastRead;
    if (lastRead === null) return null;
    this.#line()?.remove();
    let first = this.#messageItems().find(({ message }) => message && message.seq > lastRead && this.#isByOther(message));
    if (!first?.message) return null;
    if (first.classList.contains("goes-on")) {
      const [parted] = itemsFor(first.message, first.message, this.#hooks.me(), { isParted: true });
      first.replaceWith(parted);
      first = parted;
    }
    const line = make("li", "new", "New");
    first.before(line);
    return line;
  }

  /** Place the line and scroll to it. If everything below it is in sight, the log follows the newest message again. */
  #goToLine() {
    const line = this.#placeLine();
    if (!line) return;
    this.#isOpening = false;
    const go = () => {
      if (!line.isConnected || this.followsNewest) return;
      this.element.scrollTop += line.getBoundingClientRect().top - this.element.getBoundingClientRect().top - ABOVE_UNREAD;
    };
    go();
    this.followsNewest = this.#waiting.length === 0 && this.#isAtBottom();
    requestAnimationFrame(go); // the items in sight have their real heights only now
  }

  /** Return the block for the next item. */
  #openBlock() {
    const last = /** @type {HTMLElement} */ (this.#below.previousElementSibling);
    if (last !== this.edge && !last.classList.contains("done") && last.childElementCount < BLOCK_SIZE) return last;
    if (last !== this.edge) finishBlock(last);
    const next = make("ol", "block");
    last.after(next);
    return next;
  }

  /** Drop messages that are too many to draw. The user can scroll back to them. */
  #dropOld() {
    const first = messagesAmong(this.#waiting).at(-KEPT_OF_TOO_MANY)?.seq;
    if (!first) return;
    const kept = this.#waiting.filter((entry) => entry instanceof HTMLLIElement || entry.seq >= first);
    this.clear();
    this.#waiting = kept;
    this.#hooks.onPrune(first);
  }

  #prune() {
    const before = this.#count;
    for (const block of this.#blocks()) {
      if (this.#count <= MAX_IN_PAGE) break;
      this.#count -= block.querySelectorAll("[data-seq]").length;
      block.remove();
    }
    const first = this.#count < before ? this.#messageItems()[0]?.message : undefined;
    if (first) this.#hooks.onPrune(first.seq);
  }

  /**
   * Remove the day above the first message if the message that now comes before it is of the same day.
   *
   * @param {V1.Message} before
   */
  #mergeDay(before) {
    const day = /** @type {HTMLLIElement | null | undefined} */ (this.#blocks()[0]?.firstElementChild);
    if (!day?.classList.contains("day") || !isSameDay(before.time, day.time ?? 0)) return;
    const first = /** @type {HTMLLIElement | null} */ (day.nextElementSibling);
    day.remove();
    if (first?.message) first.replaceWith(...itemsFor(first.message, before, this.#hooks.me()));
  }

  /** Return the place of the first message in sight. */
  #placeAtTop() {
    const top = this.element.getBoundingClientRect().top;
    const block = this.#blocks().findLast((other) => other.getBoundingClientRect().top <= top) ?? this.#blocks()[0];
    const items = block ? [.../** @type {HTMLCollectionOf<HTMLLIElement>} */ (block.children)] : [];
    const item = items.find((other) => other.message && other.getBoundingClientRect().bottom > top);
    if (!item?.message) return undefined;
    const box = item.getBoundingClientRect();
    return { seq: item.message.seq, distance: box.top - top, height: box.height };
  }

  /** @param {Place} place */
  #moveTo({ seq, distance, height }) {
    const item = this.element.querySelector(`[data-seq="${seq}"]`);
    if (!item) return;
    const box = item.getBoundingClientRect();
    const kept = distance < 0 ? (distance / height) * box.height : distance; // the same share of its height stays out of sight
    this.element.scrollTop += box.top - this.element.getBoundingClientRect().top - kept;
  }

  /** Scroll to the previous place. */
  #restorePlace() {
    const restore = () => this.#place && !this.followsNewest && this.#moveTo(this.#place);
    restore();
    requestAnimationFrame(restore); // the items in sight have their real heights only now
  }

  #savePlaceNow() {
    const { hidden, clientWidth } = this.element;
    if (hidden || this.followsNewest || clientWidth !== this.#width) return; // after a change of width it is not restored yet
    this.#place = this.#placeAtTop();
  }

  /** Keep the place: in another width all messages have other heights. */
  #resized() {
    const { hidden, clientWidth, clientHeight } = this.element;
    if (hidden) return;
    if (clientWidth !== this.#width) this.#restorePlace();
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#settle();
  }

  #settle() {
    if (this.element.hidden) return;
    if (this.followsNewest) this.element.scrollTop = this.element.scrollHeight;
    this.#moved();
  }

  #scrolled() {
    const { clientHeight, hidden } = this.element;
    if (hidden || clientHeight !== this.#height) return; // not the user: the message field has grown
    this.followsNewest = this.#isAtBottom();
    if (!this.followsNewest) this.#savePlace();
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

/**
 * Return the messages among entries.
 *
 * @param {Entry[]} entries
 */
function messagesAmong(entries) {
  return entries.flatMap((entry) => (entry instanceof HTMLLIElement ? [] : [entry]));
}

/**
 * Leave a full block out of the layout while it is out of sight, but keep its height.
 *
 * @param {HTMLElement} block
 */
function finishBlock(block) {
  const { height } = block.getBoundingClientRect();
  if (height === 0) return; // the log is hidden
  block.style.containIntrinsicBlockSize = `auto ${height}px`;
  block.classList.add("done");
}
