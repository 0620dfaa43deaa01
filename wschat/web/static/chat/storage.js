// What a browser remembers: `local` outlives it, `tab` outlives a reload. Either may be forbidden or full, which is no reason to fail.

const PREFIX = `wschat ${new URL(".", document.baseURI).pathname} `; // several chats may share an origin

const shelf = (storage) => ({
  get(key, otherwise) {
    try {
      return JSON.parse(storage().getItem(PREFIX + key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      storage().setItem(PREFIX + key, JSON.stringify(value));
    } catch {
      // Then it is forgotten with the page.
    }
  },
  /** Have `take(value)` called with what another tab remembers. */
  watch(key, take) {
    window.addEventListener("storage", (event) => event.key === PREFIX + key && event.newValue && take(JSON.parse(event.newValue)));
  },
});

export const local = shelf(() => localStorage);
export const tab = shelf(() => sessionStorage);
