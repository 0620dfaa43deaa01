// The rate at which requests are sent: somewhat below the limits in the server's welcome.

const BURST = 2.5; // the server allows three times the rate at once
const SHARE = 0.9;

/** A token bucket. Without limits in the welcome it is practically unlimited. */
export class RateLimiter {
  #tokensPerMs;
  #capacity;
  #tokens;
  #updatedAt = performance.now();

  /** @param {V1.Limits} limits */
  constructor({ requests = 1e9, seconds = 1 }) {
    this.#tokensPerMs = (SHARE * requests) / seconds / 1000;
    this.#capacity = this.#tokens = Math.max(1, BURST * requests);
  }

  /** Use one token and return 0; if there is none, return the milliseconds until there is. */
  acquire() {
    const now = performance.now();
    if (now < this.#updatedAt) return this.#updatedAt - now;
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#updatedAt) * this.#tokensPerMs);
    this.#updatedAt = now;
    if (this.#tokens < 1) return (1 - this.#tokens) / this.#tokensPerMs;
    this.#tokens -= 1;
    return 0;
  }

  /**
   * Allow nothing for some seconds, and then one request.
   *
   * @param {number} seconds
   */
  block(seconds) {
    this.#tokens = 1;
    this.#updatedAt = performance.now() + seconds * 1000;
  }
}
