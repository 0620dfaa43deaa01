// Making and finding elements. All text goes in as text; nothing here or elsewhere takes markup.

const PAUSE_WHEN_HIDDEN = 500;

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element with these classes, and texts or nodes in it. */
export function make(tag, classes = "", ...content) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}

/** A new button that does something. */
export function makeButton(classes, label, onClick) {
  const button = make("button", classes, label);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

/**
 * Fill a list with an item for each row; a row begins with a key. As long as its key is there an item stays, and is only told of
 * its row by `update(item, row)`: who is about to click on it, or has the focus in it, must not lose it to another one like it.
 */
export function fillList(list, rows, makeItem, update = () => {}) {
  const items = new Map([...list.children].map((item) => [item.key, item]));
  const keys = new Set(rows.map(([key]) => key));
  for (const [key, item] of items) if (!keys.has(key)) item.remove();
  let next = list.firstElementChild;
  for (const row of rows) {
    const item = items.get(row[0]) ?? Object.assign(makeItem(row), { key: row[0] });
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
    const shown = JSON.stringify(row);
    if (item.shown !== shown) update(item, row);
    item.shown = shown;
  }
}

/**
 * A function that has `work` done in the next frame, once, however often it is called before. A hidden page has no frames: there
 * it is done at once if it was not just now, else in a while.
 */
export function oncePerFrame(work) {
  let frame = 0;
  let timer = 0;
  let doneAt = -Infinity;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = 0;
    doneAt = performance.now();
    work();
  };
  return () => {
    if (document.hidden && performance.now() - doneAt > PAUSE_WHEN_HIDDEN) return run();
    frame ||= requestAnimationFrame(run);
    timer ||= setTimeout(run, PAUSE_WHEN_HIDDEN);
  };
}
