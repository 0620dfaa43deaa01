// The field where one types: it grows, sends with Enter, completes with Tab, and finds what was sent before with the arrow keys.

import { byId, make } from "./dom.js";
import { completionsOf } from "./completion.js";

const MOST_OPTIONS = 50;
const MOST_REMEMBERED = 50;

/** The composer. */
export class Composer {
  #field = byId("say");
  #list = byId("completions");
  #found = null; // what could be completed: where, and with what
  #chosen = -1;
  #isAsked = false; // whether the list is there because of Tab, and not because of a slash
  #sent = [];
  #recalled = 0;

  /**
   * @param {object} hooks
   * @param {(text: string) => void} hooks.onSend
   * @param {() => void} hooks.onTyping something is being written that is no command
   * @param {() => object} hooks.known what there is to complete with
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#field.addEventListener("blur", () => this.#close());
    this.#list.addEventListener("pointerdown", (event) => this.#pointed(event));
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
    this.#grow();
  }

  /** Begin a line with something, before what there is. */
  begin(text) {
    if (!this.text.startsWith(text)) this.text = text + this.text;
    this.focus();
  }

  /** Put a name where the cursor is. */
  insert(name) {
    const { selectionStart: start, selectionEnd: end } = this.#field;
    const before = this.text.slice(0, start);
    const blank = before && !/\s$/.test(before) ? " " : "";
    this.#replace(start, end, `${blank}${name}${before ? " " : ": "}`);
    this.focus();
  }

  /** Go there. */
  focus() {
    this.#field.focus();
  }

  #send() {
    const text = this.text.trimEnd();
    this.focus();
    if (!text.trim()) return;
    if (this.#sent.at(-1) !== text) this.#sent = [...this.#sent.slice(1 - MOST_REMEMBERED), text];
    this.#recalled = this.#sent.length;
    this.text = "";
    this.hooks.onSend(text);
  }

  #changed() {
    this.#grow();
    this.#isAsked = false;
    const isCommand = this.text.startsWith("/");
    if (isCommand && !/\s/.test(this.text)) this.#look();
    else this.#close();
    if (!isCommand && this.text) this.hooks.onTyping();
  }

  #pressed(event) {
    if (event.isComposing) return;
    const { key, shiftKey, ctrlKey, altKey, metaKey } = event;
    if (ctrlKey || altKey || metaKey) return;
    const isOpen = this.#found !== null;
    let isOurs = true;
    if (key === "Enter" && !shiftKey) {
      if (isOpen && this.#chosen >= 0 && !this.#isAsked) this.#accept(this.#chosen);
      else this.#send();
    } else if (key === "Tab" && (isOpen || !shiftKey)) isOurs = this.#tab(shiftKey ? -1 : 1);
    else if (key === "Escape" && isOpen) this.#close();
    else if (key === "ArrowDown" && isOpen) this.#choose(this.#chosen + 1);
    else if (key === "ArrowUp" && isOpen) this.#choose(this.#chosen - 1);
    else if (key === "ArrowUp" || key === "ArrowDown") isOurs = this.#recall(key === "ArrowUp" ? -1 : 1);
    else isOurs = false;
    if (isOurs) event.preventDefault();
  }

  /** Complete the word before the cursor; again, with the next one. Without a word to complete, Tab goes on as everywhere. */
  #tab(step) {
    if (!this.#found) this.#look();
    if (!this.#found) return false;
    if (this.#found.options.length === 1) this.#accept(0);
    else {
      this.#choose(this.#chosen + step);
      this.#fill(this.#found.options[this.#chosen]);
      this.#isAsked = true;
    }
    return true;
  }

  #look() {
    const found = completionsOf(this.text, this.#field.selectionStart, this.hooks.known());
    found.options = found.options.slice(0, MOST_OPTIONS);
    if (found.options.length === 0) {
      this.#close();
      return;
    }
    this.#found = found;
    this.#chosen = -1;
    this.#list.replaceChildren(...found.options.map(optionFor));
    this.#list.hidden = false;
    this.#field.removeAttribute("aria-activedescendant");
  }

  #choose(place) {
    const { length } = this.#found.options;
    this.#chosen = (place + (place < -1 ? length + 1 : length)) % length;
    [...this.#list.children].forEach((option, at) => (option.ariaSelected = `${at === this.#chosen}`));
    const option = this.#list.children[this.#chosen];
    option.scrollIntoView({ block: "nearest" });
    this.#field.setAttribute("aria-activedescendant", option.id);
    if (this.#isAsked) this.#fill(this.#found.options[this.#chosen]);
  }

  #accept(place) {
    this.#fill(this.#found.options[place]);
    this.#close();
  }

  #fill({ text }) {
    const { start, end } = this.#found;
    this.#replace(start, end, text);
    this.#found.end = start + text.length;
  }

  #replace(start, end, text) {
    this.#field.setRangeText(text, start, end, "end");
    this.#grow();
  }

  #close() {
    this.#found = null;
    this.#isAsked = false;
    this.#list.hidden = true;
    this.#field.removeAttribute("aria-activedescendant");
  }

  #pointed(event) {
    const option = event.target.closest("[role=option]");
    event.preventDefault(); // the field keeps the focus
    if (option) this.#accept([...this.#list.children].indexOf(option));
  }

  /** Lines that were sent before, in an empty field or one that holds such a line. */
  #recall(step) {
    if (this.text && this.text !== this.#sent[this.#recalled]) return false;
    const place = this.#recalled + step;
    if (place < 0 || place > this.#sent.length) return false;
    this.#recalled = place;
    this.text = this.#sent[place] ?? "";
    return true;
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

function optionFor({ form, help }, place) {
  const option = make("li", "", make("b", "", form));
  option.id = `completion-${place}`;
  option.role = "option";
  option.ariaSelected = "false";
  if (help) option.append(" ", make("span", "", help));
  return option;
}
