// Who we are: choosing a name, remembering it, getting it back after a lost connection, and what we open the connection with.
// A guest's secret is what the server knows a guest by who comes again. A password stays in memory only. A token comes with the
// page's address or is asked for, or it is in a cookie that we never see.

import { pause } from "./connection.js";
import { byId } from "./dom.js";
import { local, tab } from "./storage.js";
import { claim, isInAnotherTab } from "./tabs.js";
import { mentionOf } from "./text.js";
import { askForToken } from "./token-form.js";
import { isTokenGiven, keepToken, takeToken } from "./token.js";

const PATIENCE_AT_FIRST = 3000; // the page that was here before may still be closing
const PATIENCE_LATER = 60_000; // the server may take that long to notice that the old connection is gone
const ASKS_AFTER = 300;
const TRIES_EVERY = 1000;
const UNAUTHORIZED = 401;

/** Our name. Its hooks: `onName()` when we have one, or another one, and `onWait(why)` when that takes a while. */
export class Names {
  name = null;
  mention = null; // what finds it in a text
  isGiven = false; // by the server, and not for us to change
  #hooks;
  #connection;
  #wanted = tab.get("name", null) ?? local.get("name", null);
  #password = "";
  #token = takeToken();
  #dialog = byId("names");
  #isSettled = false; // the server knows our name
  #replaces = false; // we want it even if we have it elsewhere
  #isReplaced = false; // we go on elsewhere, and there is no connection until somebody wants one here
  #settled = () => {};
  #timer = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    byId("names-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#chosen(byId("name").value.trim(), byId("moderator").open ? byId("password").value : "");
    });
    byId("names-cancel").addEventListener("click", () => this.#dialog.close());
    byId("names-replace").addEventListener("click", () => this.#takeFromElsewhere());
    this.#dialog.addEventListener("cancel", (event) => byId("names-cancel").hidden && event.preventDefault());
    window.addEventListener("hashchange", () => isTokenGiven() && location.reload());
  }

  /** What to open a connection with: the query of its address, and the same as the headers of a request. */
  credentials() {
    if (this.#token) return { query: new URLSearchParams({ token: this.#token }), headers: { authorization: `Bearer ${this.#token}` } };
    if (!this.#password) return { query: "", headers: {} };
    const basic = new TextEncoder().encode(`${this.#wanted}:${this.#password}`);
    return {
      query: new URLSearchParams({ name: this.#wanted, password: this.#password }),
      headers: { authorization: `Basic ${btoa(String.fromCharCode(...basic))}` },
    };
  }

  /** Ask for a name if none is known, even if there is no connection; but the server may just be about to tell us one. */
  start(connection) {
    this.#connection = connection;
    if (!this.#wanted && !this.#token) this.#timer = setTimeout(() => this.#ask(null, false), ASKS_AFTER);
  }

  /**
   * Have a name after an opening, whose signal this is: what the server calls us, what we were called, or what is chosen now.
   * Rejects with a Refusal.
   */
  async settle({ name, secret }, signal) {
    clearTimeout(this.#timer);
    this.#isReplaced = false;
    if (secret && local.get("secret", null) === null) local.set("secret", secret);
    this.#isSettled = false;
    this.isGiven = name !== null && !this.#password;
    if (name !== null) return this.set(name);
    const problem = this.#wanted ? await this.#reclaim(signal) : null;
    if (this.#isSettled) return;
    this.#ask(problem, false);
    await new Promise((resolve, reject) => {
      this.#settled = resolve;
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }

  /** We are called so from now on. */
  set(name) {
    this.name = this.#wanted = name;
    this.mention = mentionOf(name);
    this.#isSettled = true;
    this.#replaces = false;
    byId("password").value = "";
    claim(name);
    if (!this.#token) for (const memory of [tab, local]) memory.set("name", name);
    if (byId("names-cancel").hidden) this.#dialog.close();
    this.#hooks.onName();
    this.#settled();
  }

  /** Let another name be chosen. */
  change() {
    this.#ask(null, true);
  }

  /** The server does not let us in. Return true if a token or another password may help, which is asked for then. */
  refused({ why, status, challenge }) {
    clearTimeout(this.#timer);
    if (this.#password) {
      this.#ask({ message: status === UNAUTHORIZED ? "The password is wrong." : why }, false);
      byId("password").select();
      return true;
    }
    this.#dialog.close();
    if (!challenge.startsWith("Bearer")) return false;
    askForToken(this.#token ? why : "", (token) => {
      this.#token = token;
      keepToken(token);
      this.#connection.open();
    });
    return true;
  }

  /** Another connection has taken our name, because that was wanted there. */
  replaced() {
    this.#isSettled = false;
    this.#isReplaced = true;
    claim(null);
  }

  /** Take it back. */
  takeBack() {
    this.#replaces = true;
    this.#connection.open();
  }

  /** Take the name that we had, which may not be free yet. Return why we do not have it, or null. */
  async #reclaim(signal) {
    const patience = Date.now() + (this.name === this.#wanted ? PATIENCE_LATER : PATIENCE_AT_FIRST);
    while (!this.#isSettled) {
      const name = this.#wanted;
      const refusal = await this.#take(name, this.#replaces);
      if (!refusal) break;
      if (refusal.code !== "name-taken" || Date.now() > patience) return refusal;
      this.#hooks.onWait(`The name ${name} is still taken, perhaps by your connection from before.`);
      await pause(TRIES_EVERY, signal);
    }
    return null;
  }

  /** Take a name, even from another connection of ours, or say why it is not to be had. */
  async #take(name, replace = false) {
    try {
      await this.#connection.request({ type: "nick", name, secret: local.get("secret", null), replace });
      this.set(name.normalize("NFKC"));
      return null;
    } catch (refusal) {
      if (refusal.code === "lost") throw refusal;
      if (refusal.code === "forbidden") byId("moderator").open = true;
      if (refusal.code !== "name-taken") return refusal;
      const isHere = await isInAnotherTab(name);
      if (isHere) return { code: "in-another-tab", message: `You are ${name} in another tab.`, yours: refusal.yours };
      return refusal.yours && !replace ? this.#take(name, true) : refusal; // it was this tab, before a reload or a lost connection
    }
  }

  /** Take the name in the dialog from the tab that has it. */
  async #takeFromElsewhere() {
    const refusal = await this.#take(byId("name").value.trim(), true).catch((lost) => lost);
    if (refusal) this.#complain(refusal);
    else this.#dialog.close();
  }

  /** A name was chosen in the dialog, which stays until we have it. Without a connection, or for another one, it is for the next. */
  async #chosen(name, password) {
    const isGuest = !password && !this.#password;
    if (isGuest && this.#connection.isOpen) {
      const refusal = await this.#take(name).catch((lost) => lost);
      if (!refusal) return this.#dialog.close();
      if (refusal.code !== "lost") return this.#complain(refusal);
    }
    this.#wanted = name;
    this.#password = password;
    this.#dialog.close();
    if (!isGuest || this.#isReplaced) this.#connection.open();
  }

  #ask(problem, mayCancel) {
    byId("names-cancel").hidden = !mayCancel;
    this.#dialog.setAttribute("closedby", mayCancel ? "any" : "none"); // where it is not known, there is the listener for "cancel"
    if (!this.#dialog.open) {
      byId("name").value = this.#wanted ?? "";
      this.#dialog.showModal();
    }
    this.#complain(problem);
  }

  #complain(problem) {
    byId("names-problem").textContent = problem?.message ?? "";
    byId("names-replace").hidden = !problem?.yours;
    if (problem) byId("name").select();
  }
}
