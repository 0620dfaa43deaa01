// The other tabs and windows of this browser that have the chat open: they tell each other their names.

const REPLY_TIMEOUT_MS = 200;
const channel = new BroadcastChannel(`wschat ${new URL(".", document.baseURI).pathname}`);

/** @type {string | null} */
let ownName = null;
/** @type {(taken: string) => void} */
let onReply = () => {};

channel.addEventListener("message", ({ data: { wanted, taken } }) => {
  if (wanted !== undefined && wanted === ownName) channel.postMessage({ taken: ownName });
  if (taken !== undefined) onReply(taken);
});

/**
 * Set the name of this tab, which other tabs can ask for; null for none.
 *
 * @param {string | null} name
 */
export function setTabName(name) {
  ownName = name;
}

/**
 * Return true if another tab has this name.
 *
 * @param {string} name
 * @returns {Promise<boolean>}
 */
export function isInAnotherTab(name) {
  return new Promise((resolve) => {
    onReply = (taken) => taken === name && resolve(true);
    setTimeout(resolve, REPLY_TIMEOUT_MS, false);
    channel.postMessage({ wanted: name });
  });
}
