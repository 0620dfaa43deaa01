// The rate at which requests are sent: somewhat below the limits in the server's welcome.

const BURST = 2.5; // the server allows three times the rate at once
const SHARE = 0.9;
const UNLIMITED = 1e9;
const MAX_SECONDS = 2_000_000; // setTimeout takes longer times for none
const MIN_SECONDS = 0.001;

/** A token bucket. Without limits in the welcome it is practically unlimited. */
export class RateLimiter {
  #tokensPerMs;
  #capacity;
  #tokens;
  #updatedAt = performance.now();

  /** @param {V1.Limits} limits `requests`, 1 or more, in so many `seconds`; anything else is no limit */
  constructor(limits) {
    const requests = numberIn(limits.requests, 1, UNLIMITED, UNLIMITED);
    this.#tokensPerMs = (SHARE * requests) / numberIn(limits.seconds, MIN_SECONDS, MAX_SECONDS, 1) / 1000;
    this.#capacity = this.#tokens = Math.max(1, BURST * requests);
  }

  /** Use one token and return 0; if there is none, return the milliseconds until there is. */
  acquire() {
    const now = performance.now();
    if (now < this.#updatedAt) return this.#updatedAt - now;
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#updatedAt) * this.#tokensPerMs);
    this.#updatedAt = now;
    if (this.#tokens < 1) return Math.min((1 - this.#tokens) / this.#tokensPerMs, MAX_SECONDS * 1000);
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
    this.#updatedAt = performance.now() + Math.min(Math.max(0, seconds) || 0, MAX_SECONDS) * 1000;
  }
}

/**
 * Return a value if it is a number between two others, or else `fallback`.
 *
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @param {number} fallback
 */
function numberIn(value, least, most, fallback) {
  return typeof value === "number" && value >= least && value <= most ? value : fallback;
}
