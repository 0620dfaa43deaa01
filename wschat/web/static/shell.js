// The shell: an inline script in each page. If the page's script or style sheet cannot be loaded, it says so and tries again, after
// pauses that grow. It imports nothing, because anything that it imported could be missing too.
"use strict";
{
  const FIRST_PAUSE_MS = 1000;
  const MAX_PAUSE_MS = 30_000;
  /** @type {Set<Element>} */
  const missing = new Set();
  /** @type {HTMLElement | null} */
  let note = null;
  let failures = 0;
  let timer = 0;

  /** @param {Element} element */
  const addressOf = (element) => element.getAttribute("src") ?? element.getAttribute("href") ?? "";

  window.addEventListener("error", ({ target }) => target instanceof Element && target.matches("link, script") && fail(target), true);

  /** @param {Element} element */
  function fail(element) {
    missing.add(element);
    if (timer) return;
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
    timer = setTimeout(tryAgain, pause);
    if (document.body) showNote(pause);
    else document.addEventListener("DOMContentLoaded", () => timer && showNote(pause), { once: true });
  }

  /** @param {number} pause in milliseconds */
  function showNote(pause) {
    note ??= Object.assign(document.createElement("p"), { id: "missing", role: "alert" });
    document.body.prepend(note);
    note.textContent = `Part of this page could not be loaded. Trying again in ${Math.ceil(pause / 1000)} s.`;
  }

  async function tryAgain() {
    timer = 0;
    if (await isOutdated()) location.reload();
    else [...missing].forEach(replace);
  }

  /** Return true if the page names other files now, because the server has been updated. */
  async function isOutdated() {
    try {
      const response = await fetch(location.pathname + location.search, { cache: "no-cache" });
      const page = await response.text();
      return response.ok && ![...missing].every((element) => page.includes(addressOf(element)));
    } catch {
      return false;
    }
  }

  /**
   * Load an element again. A browser does so only for a new element.
   *
   * @param {Element} element
   */
  function replace(element) {
    const copy = document.createElement(element.localName);
    for (const { name, value } of element.attributes) copy.setAttribute(name, value);
    copy.addEventListener("load", () => {
      missing.delete(copy);
      if (missing.size === 0) note?.remove();
    });
    missing.delete(element);
    missing.add(copy);
    element.replaceWith(copy);
  }
}
