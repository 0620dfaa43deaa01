// Callbacks for events.

/**
 * Calls functions for events of a type, in the order in which they were given.
 *
 * @template {object} Events the events by type
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(event: any) => void>>} */
  #callbacks = new Map();

  /**
   * Call a function for each event of a type. Return a function that removes the callback.
   *
   * @template {keyof Events} T
   * @param {T} type
   * @param {(event: Events[T]) => void} callback
   * @returns {() => void}
   */
  on(type, callback) {
    const callbacks = this.#callbacks.get(type) ?? new Set();
    this.#callbacks.set(type, callbacks.add(callback));
    return () => void callbacks.delete(callback);
  }

  /**
   * Call the functions for a type. What one of them throws is reported as uncaught, and changes nothing for the caller.
   *
   * @template {keyof Events} T
   * @param {T} type
   * @param {Events[T]} event
   */
  emit(type, event) {
    for (const callback of [...(this.#callbacks.get(type) ?? [])]) {
      try {
        callback(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
