// Browser storage: `local` is shared by all tabs and permanent, `tab` belongs to one tab and survives a reload.

import { Store } from "../client/store.js";

const PREFIX = `wschat ${new URL(".", document.baseURI).pathname} `; // several chats may share an origin

export const local = new Store(() => localStorage, PREFIX);
export const tab = new Store(() => sessionStorage, PREFIX);

/**
 * Call `onChange(value)` when another tab stores a value in `local`.
 *
 * @param {string} key
 * @param {(value: any) => void} onChange
 */
export function watchLocal(key, onChange) {
  window.addEventListener("storage", (event) => {
    if (event.key === PREFIX + key && event.newValue) onChange(JSON.parse(event.newValue));
  });
}
