// Who we are: choosing a name, remembering it, getting it back after a lost connection, and what we open the connection with.
// A password stays in memory only. A token comes with the page's address, or in a cookie that we never see.

import { byId } from "./dom.js";
import { local, tab } from "./storage.js";
import { mentionOf } from "./text.js";

const PATIENCE_AT_FIRST = 3000; // the page that was here before may still be closing
const PATIENCE_LATER = 60_000; // the server may take that long to notice that the old connection is gone
const TRIES_EVERY = 1000;
const TOKEN = /^#token=([^&]+)/;

/** Our name. */
export class Names {
  name = null;
  mention = null;
  #wanted = local.get("name", null);
  #password = null;
  #token = takeToken();
  #dialog = byId("names");
  #answered = null; // what to do with what is entered in the dialog

  /**
   * @param {object} hooks
   * @param {() => void} hooks.onName we have a name, or another one
   * @param {(text: string) => void} hooks.onWait why it takes a while
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.#dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const password = byId("moderator").open ? byId("password").value : "";
      this.#answered?.({ name: byId("name").value.trim(), password });
    });
    window.addEventListener("hashchange", () => TOKEN.test(location.hash) && location.reload());
    this.#dialog.addEventListener("cancel", (event) => byId("names-cancel").hidden && event.preventDefault());
    byId("names-cancel").addEventListener("click", () => this.#dialog.close());
  }

  /** What to open a connection with. */
  credentials() {
    const query = new URLSearchParams();
    let authorization = null;
    if (this.#token) {
      query.set("token", this.#token);
      authorization = `Bearer ${this.#token}`;
    } else if (this.#password) {
      query.set("name", this.#wanted);
      query.set("password", this.#password);
      authorization = `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${this.#wanted}:${this.#password}`)))}`;
    }
    return { query, authorization };
  }

  /** Have a name, after an opening: the one that the server knows, the one we had, or one that is chosen now. Rejects if the connection is lost. */
  async settle(connection, welcome) {
    if (welcome.name !== null) {
      this.set(welcome.name, this.#password !== null);
      return;
    }
    const patience = Date.now() + (this.name ? PATIENCE_LATER : PATIENCE_AT_FIRST);
    let problem = "";
    for (;;) {
      const name = problem || !this.#wanted ? await this.#ask(connection, problem) : this.#wanted;
      try {
        await connection.request({ type: "nick", name });
        this.set(name.normalize("NFKC"));
        return;
      } catch (refusal) {
        if (refusal.code === "lost") throw refusal;
        if (refusal.code === "forbidden") byId("moderator").open = true;
        const mayPass = refusal.code === "name-taken" && name === this.#wanted && Date.now() < patience;
        problem = mayPass ? "" : refusal.message;
        if (mayPass) {
          this.hooks.onWait(`The name ${name} is still taken, perhaps by your connection from before.`);
          await new Promise((resolve) => setTimeout(resolve, TRIES_EVERY));
        }
      }
    }
  }

  /** We are called so from now on. */
  set(name, isRemembered = true) {
    this.name = this.#wanted = name;
    this.mention = mentionOf(name);
    if (isRemembered && !this.#token) local.set("name", name);
    this.#answered = null;
    this.#dialog.close();
    this.hooks.onName();
  }

  /** Let another name be chosen; `onChosen` is given it. */
  change(onChosen) {
    this.#show("", true);
    this.#answered = ({ name, password }) => {
      this.#dialog.close();
      onChosen(name, password);
    };
  }

  /** Have another name from the next try on; with a password, by another connection. */
  want(connection, name, password) {
    this.#wanted = name;
    if (!password) return;
    this.#password = password;
    connection.open();
  }

  /** The server does not let us in. Where another name or password may help, ask for it; says whether it may. */
  refused(connection, why) {
    if (this.#token || !this.#password) return false;
    this.#password = null;
    this.#show(why, false);
    this.#answered = ({ name, password }) => {
      this.want(connection, name, password);
      if (!password) connection.open();
    };
    return true;
  }

  /** Ask for a name. With a password, another connection is opened instead; without a connection, the next one asks for it. */
  #ask(connection, problem) {
    this.#show(problem, false);
    return new Promise((resolve) => {
      this.#answered = ({ name, password }) => {
        if (connection.isOpen && !password) resolve(name);
        else this.want(connection, name, password);
      };
    });
  }

  #show(problem, mayCancel) {
    byId("names-title").textContent = mayCancel ? "Another name" : "What shall we call you?";
    byId("names-problem").textContent = problem;
    byId("names-cancel").hidden = !mayCancel;
    if (!this.#dialog.open) {
      byId("name").value = this.#wanted ?? "";
      byId("password").value = "";
      this.#dialog.showModal();
    }
    byId("name").select();
  }
}

/** The token in the address, which is not left there for anybody to see, or the one that was there before. */
function takeToken() {
  const found = TOKEN.exec(location.hash);
  if (found) {
    tab.set("token", decodeURIComponent(found[1]));
    history.replaceState(null, "", location.pathname + location.search);
  }
  return tab.get("token", null);
}
