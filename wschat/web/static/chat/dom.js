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

/** Fill a list with an item for each row, if the rows are others than before; what has the focus keeps it. */
export function fillList(list, rows, makeItem) {
  const key = JSON.stringify(rows);
  if (list.filledWith === key) return;
  list.filledWith = key;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  list.replaceChildren(...rows.map(makeItem));
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
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
