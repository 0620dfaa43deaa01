// The user's identity: choosing a name, remembering it, getting it back after a lost connection, and the credentials to connect
// with. The server recognises a returning guest by a secret. A password is kept in memory only. A token comes from the page's
// address or from the user, or is in a cookie that the page cannot read.

import { pause } from "../client/pause.js";
import { byId } from "./dom.js";
import { asRefusal } from "./refusal.js";
import { local, tab } from "./storage.js";
import { isInAnotherTab, setTabName } from "./tabs.js";
import { mentionPattern } from "./text.js";
import { askForToken } from "./token-form.js";
import { hasTokenInAddress, loadToken, storeToken } from "./token.js";

/** @typedef {{code: string, message: string, isYours: boolean}} Problem why the user does not have a name */

/**
 * @typedef {object} IdentityHooks
 * @property {() => void} onName called when the user has a name, or another one
 * @property {(why: string) => void} onWait called while the user's name is in use
 */

const FIRST_WAIT_MS = 3000; // for a name: the previous page may still be closing
const RECONNECT_WAIT_MS = 60_000; // the server may not have noticed yet that the previous connection is lost
const ASK_DELAY_MS = 300;
const RETRY_PAUSE_MS = 1000;
const UNAUTHORIZED = 401;

const nameField = byId("name", HTMLInputElement);
const passwordField = byId("password", HTMLInputElement);
const moderatorPart = byId("moderator", HTMLDetailsElement);
const cancelButton = byId("names-cancel");

/** The user's name and credentials, and the dialog that asks for them. */
export class Identity {
  /** @type {RegExp | null} finds the name in a text */
  mention = null;
  isGiven = false; // the name comes from the server and cannot be changed
  #hooks;
  #chat;
  #wanted = tab.get("name", /** @type {string | null} */ (null)) ?? local.get("name", /** @type {string | null} */ (null));
  #password = "";
  #token = loadToken();
  #dialog = byId("names", HTMLDialogElement);
  #isSettled = false; // the server has accepted the name
  #replaces = false; // take the name over from the guest's other connection
  #isReplaced = false; // another connection has taken the name over, and this one is closed until the user wants it back
  #onSettled = () => {};
  #timer = 0;

  /**
   * @param {import("../client/wschat.js").ChatClient} chat
   * @param {IdentityHooks} hooks
   */
  constructor(chat, hooks) {
    this.#chat = chat;
    this.#hooks = hooks;
    byId("names-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(nameField.value.trim(), moderatorPart.open ? passwordField.value : "");
    });
    cancelButton.addEventListener("click", () => this.#dialog.close());
    byId("names-replace").addEventListener("click", () => this.#takeOverChosen());
    this.#dialog.addEventListener("cancel", (event) => cancelButton.hidden && event.preventDefault());
    window.addEventListener("hashchange", () => hasTokenInAddress() && location.reload());
  }

  /** The user's name; null before they have one. */
  get name() {
    return this.#chat.name;
  }

  /**
   * Return the credentials to connect with.
   *
   * @returns {Record<string, string>}
   */
  credentials() {
    if (this.#token) return { token: this.#token };
    return this.#password ? { name: this.#wanted ?? "", password: this.#password } : {};
  }

  /** Ask for a name soon if none is known, even without a connection. The server's welcome may come first and have one. */
  start() {
    if (!this.#wanted && !this.#token) this.#timer = setTimeout(() => this.#ask(null, false), ASK_DELAY_MS);
  }

  /**
   * Get a name for a new connection: the one in the welcome, the previous one, or one that the user chooses now. Rejects with a
   * Rejected.
   *
   * @param {V1.Welcome} welcome
   * @param {AbortSignal} signal aborted when the connection is lost
   * @returns {Promise<void>}
   */
  async signIn({ name, secret }, signal) {
    clearTimeout(this.#timer);
    this.#isReplaced = false;
    if (secret && local.get("secret", null) === null) local.set("secret", secret);
    this.#isSettled = false;
    this.isGiven = name !== null && !this.#password;
    if (name !== null) return this.setName(name);
    const problem = this.#wanted ? await this.#reclaim(signal) : null;
    if (this.#isSettled) return;
    this.#ask(problem, false);
    await new Promise((resolve, reject) => {
      this.#onSettled = () => resolve(undefined);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }

  /**
   * Set the name that the server has accepted.
   *
   * @param {string} name
   */
  setName(name) {
    this.#wanted = name;
    this.mention = mentionPattern(name);
    this.#isSettled = true;
    this.#replaces = false;
    passwordField.value = "";
    setTabName(name);
    if (!this.#token) for (const memory of [tab, local]) memory.set("name", name);
    if (cancelButton.hidden) this.#dialog.close();
    this.#hooks.onName();
    this.#onSettled();
  }

  /** Let the user choose another name. */
  change() {
    this.#ask(null, true);
  }

  /**
   * The server has refused the connection: ask for another password or token. Return false if none would help.
   *
   * @param {import("../client/wschat.js").Rejected} refusal
   */
  handleRefused({ message: why, status, challenge = "" }) {
    clearTimeout(this.#timer);
    if (this.#password) {
      const message = status === UNAUTHORIZED ? "The password is wrong." : why;
      this.#ask({ code: "unauthorized", message, isYours: false }, false);
      passwordField.select();
      return true;
    }
    this.#dialog.close();
    if (!challenge.startsWith("Bearer")) return false;
    askForToken(this.#token ? why : "", (token) => {
      this.#token = token;
      storeToken(token);
      this.#chat.connect();
    });
    return true;
  }

  /** Another connection of the user has taken the name over. */
  handleReplaced() {
    this.#isSettled = false;
    this.#isReplaced = true;
    setTabName(null);
  }

  /** Connect again, and take the name over. */
  takeOver() {
    this.#replaces = true;
    this.#chat.connect();
  }

  /**
   * Request the previous name until it is free. Return why the user does not have it, or null.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<Problem | null>}
   */
  async #reclaim(signal) {
    const deadline = Date.now() + (this.name === this.#wanted ? RECONNECT_WAIT_MS : FIRST_WAIT_MS);
    while (!this.#isSettled) {
      const name = this.#wanted ?? "";
      const problem = await this.#requestName(name, this.#replaces);
      if (!problem) break;
      if (problem.code !== "name-taken" || Date.now() > deadline) return problem;
      this.#hooks.onWait(`The name ${name} is still in use, perhaps by your previous connection.`);
      await pause(RETRY_PAUSE_MS, signal);
    }
    return null;
  }

  /**
   * Request a name. Return why the user does not have it, or null. Rejects with a Rejected if the connection is lost.
   *
   * @param {string} name
   * @param {boolean} [replace] take it over from another connection of the same guest
   * @returns {Promise<Problem | null>}
   */
  async #requestName(name, replace = false) {
    try {
      await this.#chat.nick(name, { secret: local.get("secret", null), replace });
      this.setName(name.normalize("NFKC"));
      return null;
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal.code === "lost") throw refusal;
      if (refusal.code === "forbidden") moderatorPart.open = true;
      if (refusal.code !== "name-taken") return refusal;
      const isHere = await isInAnotherTab(name);
      if (isHere) return { code: "in-another-tab", message: `You are ${name} in another tab.`, isYours: refusal.isYours };
      return refusal.isYours && !replace ? this.#requestName(name, true) : refusal; // this tab had it before a reload or a lost connection
    }
  }

  /** Take the name in the dialog over from another tab. */
  async #takeOverChosen() {
    const problem = await this.#requestName(nameField.value.trim(), true).catch(asRefusal);
    if (problem) this.#showProblem(problem);
    else this.#dialog.close();
  }

  /**
   * Request the name in the dialog, which stays open until the user has it. Without a connection, or with a password, the name is
   * requested by the next connection.
   *
   * @param {string} name
   * @param {string} password
   */
  async #submit(name, password) {
    const isGuest = !password && !this.#password;
    if (isGuest) {
      const problem = await this.#requestName(name).catch(asRefusal);
      if (!problem) return this.#dialog.close();
      if (problem.code !== "lost") return this.#showProblem(problem);
    }
    this.#wanted = name;
    this.#password = password;
    this.#dialog.close();
    if (!isGuest || this.#isReplaced) this.#chat.connect();
  }

  /**
   * @param {Problem | null} problem
   * @param {boolean} canCancel
   */
  #ask(problem, canCancel) {
    cancelButton.hidden = !canCancel;
    this.#dialog.setAttribute("closedby", canCancel ? "any" : "none"); // browsers without it have the listener for "cancel"
    if (!this.#dialog.open) {
      nameField.value = this.#wanted ?? "";
      this.#dialog.showModal();
    }
    this.#showProblem(problem);
  }

  /** @param {Problem | null} problem */
  #showProblem(problem) {
    byId("names-problem").textContent = problem?.message ?? "";
    byId("names-replace").hidden = !problem?.isYours;
    if (problem) nameField.select();
  }
}
