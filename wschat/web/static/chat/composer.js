// The message field: it grows with its text, sends with Enter, completes with Tab, recalls sent messages with the arrow keys, and
// gets the focus when a key is pressed that no other element uses.

import { completionsOf } from "./completion.js";
import { byId, make } from "./dom.js";

/** @typedef {import("./completion.js").Option} Option */

/**
 * @typedef {object} ComposerHooks
 * @property {(text: string) => void} onSend
 * @property {(text: string) => void} onChange called with the text in the field
 * @property {() => void} onTyping called when the user types a message, but not for a command
 * @property {() => import("./completion.js").Candidates} candidates returns what can be completed
 */

const MAX_OPTIONS = 50;
const MAX_RECALLED = 50;
const COMPOSING = 229;

/** The message field with its list of completions. */
export class Composer {
  #hooks;
  #field = byId("say", HTMLTextAreaElement);
  #list = byId("completions");
  /** @type {Option[]} */
  #options = [];
  #span = [0, 0]; // the part of the text that is completed
  #chosen = -1;
  #isCycling = false; // the field shows the chosen option
  /** @type {string[]} */
  #sent = [];
  #recalled = 0;

  /** @param {ComposerHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => this.#pressKey(event));
    this.#field.addEventListener("blur", () => this.#close());
    document.addEventListener("keydown", (event) => {
      if (!hasTextField(event.target) && isTextKey(event)) this.#field.focus();
    });
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const option = event.target instanceof Element && event.target.closest("[role=option]");
      if (option) this.#accept([...this.#list.children].indexOf(option));
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /** The text in the field. */
  get text() {
    return this.#field.value;
  }

  set text(text) {
    this.#field.value = text;
    this.#close();
    this.#edited();
  }

  /**
   * Insert a text at the beginning, unless the field begins with it.
   *
   * @param {string} text
   */
  prepend(text) {
    if (!this.text.startsWith(text)) this.text = text + this.text;
    this.#field.focus();
  }

  /**
   * Insert a name at the cursor.
   *
   * @param {string} name
   */
  insertName(name) {
    const { selectionStart: start, selectionEnd: end } = this.#field;
    this.#replace(start, end, start === 0 ? `${name}: ` : `${/\s/.test(this.text[start - 1]) ? "" : " "}${name} `);
    this.#field.focus();
  }

  /** Focus the field, except on touch devices, where this would open the keyboard. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#field.focus();
  }

  #send() {
    const text = this.text.trimEnd();
    if (!text.trim()) return;
    this.#sent = [...this.#sent.slice(1 - MAX_RECALLED), text];
    this.#recalled = this.#sent.length;
    this.text = "";
    this.#field.focus();
    this.#hooks.onSend(text);
  }

  #changed() {
    this.#edited();
    if (/^\/\S*$/.test(this.text)) this.#findOptions();
    else this.#close();
    if (this.text && !this.text.startsWith("/")) this.#hooks.onTyping();
  }

  /** @param {KeyboardEvent} event */
  #pressKey(event) {
    const { key, keyCode, shiftKey, ctrlKey, altKey, metaKey } = event;
    const isComposing = event.isComposing || keyCode === COMPOSING; // Safari ends the composition before the Enter that confirms it
    if (isComposing || ctrlKey || altKey || metaKey) return;
    const isOpen = this.#options.length > 0;
    let isHandled = true;
    if (key === "Enter" && !shiftKey) {
      if (this.#chosen >= 0 && !this.#isCycling) this.#accept(this.#chosen);
      else this.#send();
    } else if (key === "Tab" && (isOpen || !shiftKey)) isHandled = this.#complete(shiftKey ? -1 : 1);
    else if (key === "Escape" && isOpen) this.#close();
    else if (key === "ArrowDown") isHandled = isOpen ? this.#choose(1) : this.#recall(1);
    else if (key === "ArrowUp") isHandled = isOpen ? this.#choose(-1) : this.#recall(-1);
    else isHandled = false;
    if (isHandled) event.preventDefault();
  }

  /**
   * Complete the word before the cursor, or replace it by the next option. Return false if there is nothing to complete; Tab then
   * moves the focus as usual.
   *
   * @param {1 | -1} step
   */
  #complete(step) {
    if (this.#options.length === 0) this.#findOptions();
    if (this.#options.length < 2) return this.#accept(0);
    this.#isCycling = true;
    return this.#choose(step);
  }

  #findOptions() {
    const cursor = this.#field.selectionStart;
    const { start, options } = completionsOf(this.text, cursor, this.#hooks.candidates());
    this.#close();
    this.#options = options.slice(0, MAX_OPTIONS);
    this.#span = [start, cursor];
    this.#list.replaceChildren(...this.#options.map(itemFor));
    this.#list.hidden = this.#options.length === 0;
  }

  /** @param {1 | -1} step */
  #choose(step) {
    const { length } = this.#options;
    this.#chosen = this.#chosen < 0 && step < 0 ? length - 1 : (this.#chosen + step + length) % length;
    const options = [...this.#list.children];
    options.forEach((option, place) => (option.ariaSelected = `${place === this.#chosen}`));
    const option = options[this.#chosen];
    option.scrollIntoView({ block: "nearest" });
    this.#field.setAttribute("aria-activedescendant", option.id);
    if (this.#isCycling) this.#fill(this.#chosen);
    return true;
  }

  /** @param {number} place */
  #accept(place) {
    if (!this.#options[place]) return false;
    this.#fill(place);
    this.#close();
    return true;
  }

  /** @param {number} place */
  #fill(place) {
    const { text } = this.#options[place];
    const [start, end] = this.#span;
    this.#replace(start, end, text);
    this.#span = [start, start + text.length];
  }

  /**
   * @param {number} start
   * @param {number} end
   * @param {string} text
   */
  #replace(start, end, text) {
    this.#field.setRangeText(text, start, end, "end");
    this.#edited();
  }

  #close() {
    this.#options = [];
    this.#chosen = -1;
    this.#isCycling = false;
    this.#list.hidden = true;
    this.#field.removeAttribute("aria-activedescendant");
  }

  /**
   * Show a message that was sent before, if the field is empty or shows such a message. Return false if there is none.
   *
   * @param {1 | -1} step
   */
  #recall(step) {
    const place = this.#recalled + step;
    if ((this.text && this.text !== this.#sent[this.#recalled]) || place < 0 || place > this.#sent.length) return false;
    this.#recalled = place;
    this.text = this.#sent[place] ?? "";
    return true;
  }

  #edited() {
    this.#grow();
    this.#hooks.onChange(this.text);
  }

  /** Make the field as high as its text. The form keeps its height during the measurement, so that nothing else moves. */
  #grow() {
    const form = byId("composer");
    form.style.minHeight = `${form.offsetHeight}px`;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
    form.style.minHeight = "";
  }
}

/**
 * Return true if an element or one around it uses the text that is typed while it has the focus.
 *
 * @param {EventTarget | null} target
 */
function hasTextField(target) {
  return target instanceof Element && target.closest("input, textarea, dialog") !== null;
}

/**
 * Return true if a key types a character or pastes.
 *
 * @param {KeyboardEvent} event
 */
function isTextKey(event) {
  const { key, ctrlKey, altKey, metaKey } = event;
  if (event.defaultPrevented || key === " ") return false; // the space bar scrolls, or presses a button
  if ((ctrlKey || metaKey) && !altKey) return key.toLowerCase() === "v";
  const isText = [...key].length === 1 || key === "Dead" || key === "Process";
  return isText && !metaKey && ((!ctrlKey && !altKey) || event.getModifierState("AltGraph"));
}

/**
 * @param {Option} option
 * @param {number} place
 */
function itemFor({ form, help = "" }, place) {
  const item = make("li", "", make("b", "", form), " ", help);
  item.id = `completion-${place}`;
  item.role = "option";
  item.ariaSelected = "false";
  return item;
}
