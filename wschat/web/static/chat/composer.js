// The field where one types: it grows, sends with Enter, completes with Tab, finds what was sent before with the arrow keys, and
// gets what is typed where nothing else takes it.

import { completionsOf } from "./completion.js";
import { byId, make } from "./dom.js";

const MOST_OPTIONS = 50;
const MOST_REMEMBERED = 50;
const COMPOSING = 229;

/**
 * The composer. Its hooks: `onSend(text)`, `onChange(text)` for what is in the field now, `onTyping()` for what is no command, and
 * `known()` for what there is to complete with.
 */
export class Composer {
  #hooks;
  #field = byId("say");
  #list = byId("completions");
  #options = []; // what could be completed
  #span = [0, 0]; // and where
  #chosen = -1;
  #isCycling = false; // each step of the choice shows in the field
  #sent = [];
  #recalled = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    this.#field.addEventListener("blur", () => this.#close());
    document.addEventListener("keydown", (event) => takesNoText(event.target) && writes(event) && this.#field.focus());
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const option = event.target.closest("[role=option]");
      if (option) this.#accept([...this.#list.children].indexOf(option));
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /** What has been typed. */
  get text() {
    return this.#field.value;
  }

  set text(text) {
    this.#field.value = text;
    this.#close();
    this.#edited();
  }

  /** Begin the line with this, unless it does. */
  begin(text) {
    if (!this.text.startsWith(text)) this.text = text + this.text;
    this.#field.focus();
  }

  /** Put a name where the cursor is. */
  insert(name) {
    const { selectionStart: start, selectionEnd: end } = this.#field;
    this.#replace(start, end, start === 0 ? `${name}: ` : `${/\s/.test(this.text[start - 1]) ? "" : " "}${name} `);
    this.#field.focus();
  }

  /** Go there, where that does not bring up a keyboard that covers half of the page. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#field.focus();
  }

  #send() {
    const text = this.text.trimEnd();
    if (!text.trim()) return;
    this.#sent = [...this.#sent.slice(1 - MOST_REMEMBERED), text];
    this.#recalled = this.#sent.length;
    this.text = "";
    this.#field.focus();
    this.#hooks.onSend(text);
  }

  #changed() {
    this.#edited();
    if (/^\/\S*$/.test(this.text)) this.#look();
    else this.#close();
    if (this.text && !this.text.startsWith("/")) this.#hooks.onTyping();
  }

  #press(event) {
    const { key, keyCode, shiftKey, ctrlKey, altKey, metaKey } = event;
    const isComposing = event.isComposing || keyCode === COMPOSING; // Safari ends it before the Enter that confirms it
    if (isComposing || ctrlKey || altKey || metaKey) return;
    const isOpen = this.#options.length > 0;
    let isOurs = true;
    if (key === "Enter" && !shiftKey) {
      if (this.#chosen >= 0 && !this.#isCycling) this.#accept(this.#chosen);
      else this.#send();
    } else if (key === "Tab" && (isOpen || !shiftKey)) isOurs = this.#complete(shiftKey ? -1 : 1);
    else if (key === "Escape" && isOpen) this.#close();
    else if (key === "ArrowDown") isOurs = isOpen ? this.#choose(1) : this.#recall(1);
    else if (key === "ArrowUp") isOurs = isOpen ? this.#choose(-1) : this.#recall(-1);
    else isOurs = false;
    if (isOurs) event.preventDefault();
  }

  /** Complete the word before the cursor; again, with the next one. Without a word to complete, Tab goes on as everywhere. */
  #complete(step) {
    if (this.#options.length === 0) this.#look();
    if (this.#options.length < 2) return this.#accept(0);
    this.#isCycling = true;
    return this.#choose(step);
  }

  #look() {
    const cursor = this.#field.selectionStart;
    const { start, options } = completionsOf(this.text, cursor, this.#hooks.known());
    this.#close();
    this.#options = options.slice(0, MOST_OPTIONS);
    this.#span = [start, cursor];
    this.#list.replaceChildren(...this.#options.map(optionFor));
    this.#list.hidden = this.#options.length === 0;
  }

  #choose(step) {
    const { length } = this.#options;
    this.#chosen = this.#chosen < 0 && step < 0 ? length - 1 : (this.#chosen + step + length) % length;
    [...this.#list.children].forEach((option, place) => (option.ariaSelected = `${place === this.#chosen}`));
    const option = this.#list.children[this.#chosen];
    option.scrollIntoView({ block: "nearest" });
    this.#field.setAttribute("aria-activedescendant", option.id);
    if (this.#isCycling) this.#fill(this.#chosen);
    return true;
  }

  #accept(place) {
    if (!this.#options[place]) return false;
    this.#fill(place);
    this.#close();
    return true;
  }

  #fill(place) {
    const { text } = this.#options[place];
    const [start, end] = this.#span;
    this.#replace(start, end, text);
    this.#span = [start, start + text.length];
  }

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

  /** Lines that were sent before, in an empty field or one that holds such a line. */
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

  /** Have the field as high as its text. While that is measured the form keeps its height, so that nothing else moves. */
  #grow() {
    const form = byId("composer");
    form.style.minHeight = `${form.offsetHeight}px`;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
    form.style.minHeight = "";
  }
}

/** Return true if what is typed with the focus on an element would be lost. */
const takesNoText = (element) => !element.closest("input, textarea, dialog");

/** Return true if a key writes something, or pastes it. */
function writes(event) {
  const { key, ctrlKey, altKey, metaKey } = event;
  if (event.defaultPrevented || key === " ") return false; // which scrolls, or presses a button
  if ((ctrlKey || metaKey) && !altKey) return key.toLowerCase() === "v";
  const isText = [...key].length === 1 || key === "Dead" || key === "Process";
  return isText && !metaKey && ((!ctrlKey && !altKey) || event.getModifierState("AltGraph"));
}

function optionFor({ form, help = "" }, place) {
  const option = make("li", "", make("b", "", form), " ", help);
  option.id = `completion-${place}`;
  option.role = "option";
  option.ariaSelected = "false";
  return option;
}
