// Browser storage: `local` is shared by all tabs and permanent, `tab` belongs to one tab and survives a reload. Storage may be
// forbidden or full; the page then works without it.

const PREFIX = `wschat ${new URL(".", document.baseURI).pathname} `; // several chats may share an origin

/** @param {() => Storage} storage throws if storage is forbidden */
const store = (storage) => ({
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
      return JSON.parse(storage().getItem(PREFIX + key) ?? "null") ?? fallback;
    } catch {
      return fallback;
    }
  },
  /**
   * Store a value that can be written as JSON.
   *
   * @param {string} key
   * @param {unknown} value
   */
  set(key, value) {
    try {
      storage().setItem(PREFIX + key, JSON.stringify(value));
    } catch {
      // The value is lost when the page is closed.
    }
  },
  /**
   * Call `onChange(value)` when another tab stores a value.
   *
   * @param {string} key
   * @param {(value: any) => void} onChange
   */
  watch(key, onChange) {
    window.addEventListener("storage", (event) => {
      if (event.key === PREFIX + key && event.newValue) onChange(JSON.parse(event.newValue));
    });
  },
});

export const local = store(() => localStorage);
export const tab = store(() => sessionStorage);
