// Who we are: choosing a name, remembering it, getting it back after a lost connection, and what we open the connection with.
// A password stays in memory only. A token comes with the page's address, or in a cookie that we never see.

import { byId } from "./dom.js";
import { local } from "./storage.js";
import { mentionOf } from "./text.js";
import { isTokenGiven, takeToken } from "./token.js";

const PATIENCE_AT_FIRST = 3000; // the page that was here before may still be closing
const PATIENCE_LATER = 60_000; // the server may take that long to notice that the old connection is gone
const ASKS_AFTER = 300;
const TRIES_EVERY = 1000;

/** Our name. Its hooks: `onName()` when we have one, or another one, and `onWait(why)` when that takes a while. */
export class Names {
  name = null;
  mention = null; // what finds it in a text
  #hooks;
  #wanted = local.get("name", null);
  #password = "";
  #token = takeToken();
  #dialog = byId("names");
  #onChosen = null;
  #timer = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    byId("names-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#onChosen(byId("name").value.trim(), byId("moderator").open ? byId("password").value : "");
    });
    byId("names-cancel").addEventListener("click", () => this.#dialog.close());
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
    if (!this.#wanted && !this.#token) this.#timer = setTimeout(() => this.#ask(connection, ""), ASKS_AFTER);
  }

  /** Have a name after an opening: what the server calls us, what we were called, or what is chosen now. Rejects with a Refusal. */
  async settle(connection, welcome) {
    clearTimeout(this.#timer);
    if (welcome.name !== null) return this.set(welcome.name);
    const patience = Date.now() + (this.name ? PATIENCE_LATER : PATIENCE_AT_FIRST);
    let problem = "";
    for (;;) {
      const name = problem || !this.#wanted ? await this.#ask(connection, problem) : this.#wanted;
      try {
        await connection.request({ type: "nick", name });
        return this.set(name.normalize("NFKC"));
      } catch (refusal) {
        if (refusal.code === "lost") throw refusal;
        if (refusal.code === "forbidden") byId("moderator").open = true;
        const mayPass = refusal.code === "name-taken" && name === this.#wanted && Date.now() < patience;
        problem = mayPass ? "" : refusal.message;
        if (!mayPass) continue;
        this.#hooks.onWait(`The name ${name} is still taken, perhaps by your connection from before.`);
        await new Promise((resolve) => setTimeout(resolve, TRIES_EVERY));
      }
    }
  }

  /** We are called so from now on. */
  set(name) {
    this.name = this.#wanted = name;
    this.mention = mentionOf(name);
    if (!this.#token) local.set("name", name);
    this.#dialog.close();
    this.#hooks.onName();
  }

  /** Let another name be chosen, which `onChosen(name, password)` is given. */
  change(onChosen) {
    this.#show("", true, (name, password) => {
      this.#dialog.close();
      onChosen(name, password);
    });
  }

  /** Have another name from the next try on; with a password, by another connection. */
  want(connection, name, password) {
    this.#wanted = name;
    this.#password = password;
    if (password) connection.open();
  }

  /** The server does not let us in; whether another name or password may help, which is asked for then. */
  refused(connection, why) {
    clearTimeout(this.#timer);
    if (!this.#password) {
      this.#dialog.close();
      return false;
    }
    this.#show(why, false, (name, password) => {
      this.#dialog.close();
      this.want(connection, name, password);
      if (!password) connection.open();
    });
    return true;
  }

  #ask(connection, problem) {
    return new Promise((resolve) => {
      this.#show(problem, false, (name, password) => {
        if (connection.isOpen && !password) return resolve(name);
        this.want(connection, name, password);
        this.#dialog.close();
      });
    });
  }

  #show(problem, mayCancel, onChosen) {
    this.#onChosen = onChosen;
    byId("names-problem").textContent = problem;
    byId("names-cancel").hidden = !mayCancel;
    this.#dialog.setAttribute("closedby", mayCancel ? "any" : "none"); // where it is not known, there is the listener for "cancel"
    if (!this.#dialog.open) {
      byId("name").value = this.#wanted ?? "";
      byId("password").value = "";
      this.#dialog.showModal();
    }
    if (problem) byId("name").select();
  }
}
