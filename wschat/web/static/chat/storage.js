// What a browser remembers: `local` outlives it, `tab` outlives a reload. Either may be forbidden or full, which is no reason to fail.
// Two chats under different paths of one origin do not share anything.

const PREFIX = `wschat ${new URL(".", document.baseURI).pathname} `;

const shelf = (storage) => ({
  /** What is remembered by this key, or `otherwise`. */
  get(key, otherwise) {
    try {
      return JSON.parse(storage().getItem(PREFIX + key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  /** Remember a value; undefined forgets it. */
  set(key, value) {
    try {
      if (value === undefined) storage().removeItem(PREFIX + key);
      else storage().setItem(PREFIX + key, JSON.stringify(value));
    } catch {
      // Then it is forgotten with the page.
    }
  },
});

/** Across reloads and tabs. */
export const local = shelf(() => localStorage);

/** Across reloads of this tab. */
export const tab = shelf(() => sessionStorage);
