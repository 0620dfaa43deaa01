// Taking the client's name on each new connection. A guest proves by a secret that it is the one who had the name before.

import { isSameName } from "./names.js";
import { pause } from "./pause.js";
import { asRejected } from "./rejected.js";

const RETRY_PAUSE_MS = 2000;
const STORED_AS = "secret";

/** Takes a name, and keeps it over lost connections. */
export class SignIn {
  #client;
  #wanted;
  #store;
  /** @type {string | null} */
  #secret;
  #mayReplace; // another connection with the name may be the client's own
  #hasName = false; // on an earlier connection

  /**
   * @param {import("./chat-client.js").ChatClient} client
   * @param {import("./store.js").Store} store
   * @param {Pick<Client.Options, "name" | "secret">} options
   */
  constructor(client, store, { name = null, secret }) {
    this.#client = client;
    this.#wanted = name;
    this.#store = store;
    this.#secret = secret ?? store.get(STORED_AS, /** @type {string | null} */ (null));
    this.#mayReplace = this.#secret !== null;
  }

  /**
   * Take the name, unless the welcome has it. Rejects with a Rejected if it is taken at first; later, waits until it is free.
   *
   * @param {V1.Welcome} welcome
   * @param {AbortSignal} signal
   */
  async signIn(welcome, signal) {
    if (this.#secret === null && welcome.secret) {
      this.#secret = welcome.secret;
      this.#store.set(STORED_AS, welcome.secret);
    }
    const name = this.#hasName ? this.#client.name : this.#wanted;
    if (name !== null && !isSameName(welcome.name, name)) await this.#take(name, signal);
    this.#hasName = this.#client.name !== null;
    this.#mayReplace ||= this.#hasName;
  }

  /**
   * @param {string} name
   * @param {AbortSignal} signal
   */
  async #take(name, signal) {
    for (;;) {
      try {
        return await this.#client.nick(name, { secret: this.#secret, replace: this.#mayReplace });
      } catch (error) {
        const rejected = asRejected(error);
        if (rejected.code !== "unavailable" && !(rejected.code === "name-taken" && this.#hasName)) throw rejected;
      }
      await pause(RETRY_PAUSE_MS, signal);
    }
  }
}
