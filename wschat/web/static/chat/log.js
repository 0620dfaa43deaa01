// The list of messages of one room, as it is on the screen: it sticks to the newest or keeps its place, grows at both ends, and
// stays fast because it draws once a frame and leaves out of the layout what is out of sight. What is in it is `room.js`'s business.

import { make, oncePerFrame } from "./dom.js";
import { itemsFor } from "./message.js";

const BLOCK = 100;
const DRAWN_IN_A_FRAME = 150;
const MOST_IN_THE_PAGE = 10_000;
const MOST_AT_ONCE = 2000; // to be drawn, while nobody looks at what is above
const MOST_WAITING = 5000;
const KEPT_OF_TOO_MANY = 200;
const NEAR_BOTTOM = 40;
const NEAR_TOP = 600;

/** The messages of a room on the screen. */
export class Log {
  #waiting = []; // messages and other items that are to be drawn below
  #unsent = null; // the items of what is not acknowledged yet, if they have changed
  #newest = null; // the last message that was drawn
  #count = 0;
  #place = null; // what was at the top, and how far from it, when the log was hidden
  #draw = oncePerFrame(() => this.#drawNow());

  /**
   * @param {HTMLElement} parent
   * @param {string} label what assistive technology calls it
   * @param {object} hooks
   * @param {() => object} hooks.me who we are
   * @param {() => void} hooks.onTop the oldest that is there has nearly been reached
   * @param {() => void} hooks.onMove the log has been scrolled, or something was drawn
   * @param {(seq: number) => void} hooks.onPrune everything before this number has been let go of
   */
  constructor(parent, label, hooks) {
    this.hooks = hooks;
    this.sticks = true;
    this.edge = make("p", "edge");
    this.below = make("ol", "below");
    this.element = make("div", "log", this.edge, this.below);
    this.element.role = "log";
    this.element.ariaLive = "off"; // the announcer reads what is new: at a bearable pace, and not what is old
    this.element.ariaLabel = label;
    this.element.tabIndex = 0;
    this.element.hidden = true;
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.element.addEventListener("click", () => this.#scrolled()); // which may have shown all of a long message
    new ResizeObserver(() => this.#settle()).observe(this.element);
    parent.append(this.element);
  }

  /** Put messages below. */
  append(messages) {
    for (const message of messages) this.#waiting.push(message);
    if (this.#waiting.length > MOST_WAITING) this.#letGo();
    this.#draw();
  }

  /** Put something below that is no message. */
  appendItem(item) {
    this.#waiting.push(item);
    this.#draw();
  }

  /** Show these items below everything. */
  showUnsent(makeItems) {
    this.#unsent = makeItems;
    this.#draw();
  }

  /** Put older messages above, without moving what is seen. */
  prepend(messages) {
    const blocks = [];
    let before = null;
    for (let start = 0; start < messages.length; start += BLOCK) {
      const block = make("ol", "block");
      for (const message of messages.slice(start, start + BLOCK)) {
        block.append(...itemsFor(message, before, this.hooks.me()));
        before = message;
      }
      blocks.push(block);
    }
    this.#count += messages.length;
    this.#keepingPlace(() => {
      this.#rejoin(before);
      this.edge.after(...blocks);
      for (const block of blocks) this.#finish(block);
    });
  }

  /** Draw all anew, because who we are has changed. */
  redraw() {
    this.#keepingPlace(() => {
      let before = null;
      let isParted = false;
      for (const item of this.element.querySelectorAll(".block > :not(.day)")) {
        if (item.message) {
          item.replaceWith(itemsFor(item.message, before, this.hooks.me(), isParted).at(-1));
          before = item.message;
        }
        isParted = !item.message;
      }
    });
  }

  /** Begin anew, with nothing. */
  clear() {
    for (const block of this.#blocks()) block.remove();
    this.#waiting = [];
    this.#newest = null;
    this.#count = 0;
    this.sticks = true;
  }

  /** Show it, where it was. */
  show() {
    this.element.hidden = false;
    this.#drawNow();
    const restore = () => this.#place && !this.sticks && this.#moveTo(this.#place);
    restore();
    requestAnimationFrame(() => {
      restore(); // now that what is in sight has its real size
      this.#place = null;
      this.#settle();
    });
  }

  /** Hide it, and remember its place. */
  hide() {
    this.#place = this.#topmost();
    this.element.hidden = true;
  }

  /** Go to the newest. */
  toBottom() {
    this.sticks = true;
    this.#settle();
  }

  #blocks() {
    return this.element.querySelectorAll(".block");
  }

  #drawNow() {
    if (this.element.hidden) return;
    if (this.sticks && this.#waiting.length > MOST_AT_ONCE) this.#letGo();
    const batch = this.#waiting.splice(0, DRAWN_IN_A_FRAME);
    let block = this.below.previousElementSibling;
    for (const entry of batch) {
      if (!block.classList.contains("block") || block.childElementCount >= BLOCK) {
        const next = make("ol", "block");
        block.after(next);
        if (block !== this.edge) this.#finish(block);
        block = next;
      }
      if (entry instanceof Element) {
        block.append(entry);
        continue;
      }
      const last = block.lastElementChild;
      block.append(...itemsFor(entry, this.#newest, this.hooks.me(), last !== null && !last.message));
      this.#newest = entry;
      this.#count++;
    }
    if (this.#unsent) {
      this.below.replaceChildren(...this.#unsent());
      this.#unsent = null;
    }
    if (this.sticks) this.#prune();
    this.#settle();
    if (this.#waiting.length) this.#draw();
  }

  /** What nobody has looked at for so long would only fill the memory and take time: it can be read again. */
  #letGo() {
    const messages = this.#waiting.filter((entry) => !(entry instanceof Element));
    const first = messages.at(-KEPT_OF_TOO_MANY)?.seq ?? 0;
    const kept = this.#waiting.filter((entry) => entry instanceof Element || entry.seq >= first);
    this.clear();
    this.#waiting = kept;
    this.hooks.onPrune(first);
  }

  #prune() {
    let pruned = false;
    for (const block of this.#blocks()) {
      if (this.#count <= MOST_IN_THE_PAGE) break;
      this.#count -= [...block.children].filter((item) => item.message).length;
      block.remove();
      pruned = true;
    }
    if (pruned) this.hooks.onPrune(this.element.querySelector(".block > [data-seq]").message.seq);
  }

  /** The oldest message that was there comes after another one now. */
  #rejoin(before) {
    const first = this.element.querySelector(".block > [data-seq]");
    if (!first || !before) return;
    const [item, ...rest] = itemsFor(first.message, before, this.hooks.me()).reverse();
    const day = first.previousElementSibling;
    if (day?.classList.contains("day")) day.remove();
    first.replaceWith(...rest, item);
  }

  /** Nothing is added to a block any more: leave it out of the layout when it is out of sight, but not its height. */
  #finish(block) {
    block.style.containIntrinsicBlockSize = `auto ${block.getBoundingClientRect().height}px`;
    block.classList.add("done");
  }

  #keepingPlace(change) {
    if (this.element.hidden || this.sticks) {
      change();
      this.#settle();
      return;
    }
    const place = this.#topmost();
    change();
    if (place) this.#moveTo(place);
  }

  /** The message at the top of what is seen, and how far it is from there. */
  #topmost() {
    const top = this.element.getBoundingClientRect().top;
    const block = [...this.#blocks()].reverse().find((other) => other.getBoundingClientRect().top <= top) ?? this.#blocks()[0];
    const item = block && [...block.children].find((other) => other.message && other.getBoundingClientRect().bottom > top);
    return item ? { seq: item.message.seq, distance: item.getBoundingClientRect().top - top } : null;
  }

  #moveTo({ seq, distance }) {
    const item = this.element.querySelector(`[data-seq="${seq}"]`);
    if (!item) return;
    const now = item.getBoundingClientRect().top - this.element.getBoundingClientRect().top;
    this.element.scrollTop += now - distance;
  }

  #settle() {
    if (this.element.hidden) return;
    if (this.sticks) this.element.scrollTop = this.element.scrollHeight;
    this.hooks.onMove();
    this.#lookUp();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (this.element.hidden) return;
    this.sticks = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM;
    this.hooks.onMove();
    this.#lookUp();
  }

  #lookUp() {
    if (this.element.scrollTop < NEAR_TOP && this.#count > 0 && this.#waiting.length === 0) this.hooks.onTop();
  }
}
