// Values in a browser's storage, as JSON. Storage may be forbidden or full; programs then work without it.

/** @typedef {Pick<Storage, "getItem" | "setItem">} Items what a storage must have */

/** Values by key. Without a storage, they are forgotten. */
export class Store {
  #storage;
  #prefix;

  /**
   * @param {() => Items | undefined} storage throws if storage is forbidden
   * @param {string} prefix of the keys
   */
  constructor(storage, prefix) {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  /**
   * Return the value of a key, or `fallback`.
   *
   * @template T
   * @param {string} key
   * @param {T} fallback
   * @returns {T}
   */
  get(key, fallback) {
    try {
      return JSON.parse(this.#storage()?.getItem(this.#prefix + key) ?? "null") ?? fallback;
    } catch {
      return fallback;
    }
  }

  /**
   * Store a value that can be written as JSON.
   *
   * @param {string} key
   * @param {unknown} value
   */
  set(key, value) {
    try {
      this.#storage()?.setItem(this.#prefix + key, JSON.stringify(value));
    } catch {
      // The value is lost when the page is closed.
    }
  }
}
