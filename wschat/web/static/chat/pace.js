// How fast requests may go out, by the limits in the server's welcome. A little slower than those, to be safe.

const BURST = 2.5; // of the three times the rate that the server takes at once
const SHARE = 0.9;

/** An allowance that fills up with time. Where there is no limit, `limits` is empty. */
export class Pace {
  #perMs;
  #most;
  #left;
  #at = performance.now();

  constructor({ requests = 1e9, seconds = 1 }) {
    this.#perMs = (SHARE * requests) / seconds / 1000;
    this.#most = this.#left = Math.max(1, BURST * requests);
  }

  /** Take leave for one request: 0 if it is given, else the milliseconds until it may be. */
  take() {
    const now = performance.now();
    if (now < this.#at) return this.#at - now;
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
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
