// A bound on the requests that have no reply yet.

import { Rejected } from "./rejected.js";

/** Runs so many requests at once, and rejects others. */
export class Bound {
  #most;
  #running = 0;

  /** @param {number} most */
  constructor(most) {
    this.#most = most;
  }

  /**
   * Send a request and return its reply. Rejects with the code "full" if too many have no reply yet.
   *
   * @template T
   * @param {() => Promise<T>} send
   */
  async run(send) {
    if (this.#running >= this.#most) throw new Rejected({ code: "full", text: `${this.#most} requests wait already.` });
    this.#running++;
    try {
      return await send();
    } finally {
      this.#running--;
    }
  }
}
