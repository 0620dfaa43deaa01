// The other tabs and windows of this browser in which the chat is open: whether one of them has the name that we want.

const ANSWERS_WITHIN = 200;
const channel = new BroadcastChannel(`wschat ${new URL(".", document.baseURI).pathname}`);
let ours = null;
let answered = () => {};

channel.addEventListener("message", ({ data: { wanted, taken } }) => {
  if (wanted !== undefined && wanted === ours) channel.postMessage({ taken: ours });
  if (taken !== undefined) answered(taken);
});

/** We have this name, for the other tabs to know; null for none. */
export function claim(name) {
  ours = name;
}

/** Whether another tab has a name. */
export function isInAnotherTab(name) {
  return new Promise((resolve) => {
    answered = (taken) => taken === name && resolve(true);
    setTimeout(resolve, ANSWERS_WITHIN, false);
    channel.postMessage({ wanted: name });
  });
}
