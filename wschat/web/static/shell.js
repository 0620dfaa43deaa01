// The shell: a part of each page, and there before anything else is. If the script or the style sheet of the page cannot be
// loaded, it says so and tries again, after pauses that grow. It is no module, as it may depend on nothing that could be missing.
"use strict";
{
  const FIRST_PAUSE = 1000;
  const LONGEST_PAUSE = 30_000;
  const missing = new Set(); // elements
  let note = null;
  let failures = 0;
  let timer = 0;

  const addressOf = (element) => element.getAttribute("src") ?? element.getAttribute("href");

  window.addEventListener("error", ({ target }) => target instanceof Element && target.matches("link, script") && fail(target), true);

  function fail(element) {
    missing.add(element);
    if (timer) return;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++) * (0.5 + Math.random() / 2);
    timer = setTimeout(tryAgain, pause);
    if (document.body) say(pause);
    else document.addEventListener("DOMContentLoaded", () => timer && say(pause), { once: true });
  }

  function say(pause) {
    note ??= Object.assign(document.createElement("p"), { id: "missing", role: "alert" });
    document.body.prepend(note);
    note.textContent = `A part of this page could not be loaded. Trying again in ${Math.ceil(pause / 1000)} s.`;
  }

  async function tryAgain() {
    timer = 0;
    if (await isOutdated()) location.reload();
    else [...missing].forEach(replace);
  }

  /** Return true if the page names other files now, because the server has been updated. */
  async function isOutdated() {
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-cache" });
      const page = await answer.text();
      return answer.ok && ![...missing].every((element) => page.includes(addressOf(element)));
    } catch {
      return false;
    }
  }

  /** Have the browser load an element again: it does so for a new one only. */
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
