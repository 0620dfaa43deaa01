// How fast requests may go out, by the limits that the server has told in its welcome. A little slower than those, to be safe.

const BURST = 2.5; // of the three times the rate that the server takes at once
const SHARE = 0.9;

/** An allowance that fills up with time. */
export class Pace {
  #perMs;
  #most;
  #left;
  #at = performance.now();

  /** @param {{requests?: number, seconds?: number}} limits empty where there is no limit */
  constructor({ requests = Infinity, seconds = 1 }) {
    this.#perMs = (SHARE * requests) / seconds / 1000;
    this.#most = this.#left = Math.max(1, BURST * requests);
  }

  /** Take leave for one request: 0 if it is given, else the milliseconds until it will be. */
  take() {
    if (this.#most === Infinity) return 0;
    const now = performance.now();
    this.#left = Math.min(this.#most, this.#left + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = Math.max(this.#at, now);
    if (now < this.#at) return this.#at - now;
    if (this.#left < 1) return (1 - this.#left) / this.#perMs;
    this.#left -= 1;
    return 0;
  }

  /** The server has had enough for so many seconds. */
  hold(seconds) {
    this.#left = 1;
    this.#at = performance.now() + seconds * 1000;
  }
}
