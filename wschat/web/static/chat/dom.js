// Finding and making elements. Text is always inserted as text nodes, never as markup.

const HIDDEN_PAUSE_MS = 500;

/**
 * Return the element with this id. Throws TypeError if there is none, or if it has another class.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function byId(id, kind = /** @type {any} */ (HTMLElement)) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new TypeError(`the element "${id}" must be a ${kind.name}`);
  return element;
}

/**
 * Return a new element with these classes and contents.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [classes]
 * @param {...(Node | string)} content
 */
export function make(tag, classes = "", ...content) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}

/**
 * Return a new button.
 *
 * @param {string} classes
 * @param {Node | string} label
 * @param {() => void} onClick
 */
export function makeButton(classes, label, onClick) {
  const button = make("button", classes, label);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

/**
 * Fill a list with an item for each row. A row begins with its key. An item stays in the document as long as its key is among the
 * rows, and is changed by `update(item, row)` only, so that it keeps the focus and a click does not hit another item.
 *
 * @template {readonly [string, ...unknown[]]} R
 * @param {HTMLElement} list
 * @param {readonly R[]} rows
 * @param {(row: R) => HTMLLIElement} makeItem
 * @param {(item: HTMLLIElement, row: R) => void} [update]
 */
export function fillList(list, rows, makeItem, update = () => {}) {
  const children = /** @type {HTMLCollectionOf<HTMLLIElement>} */ (list.children);
  const items = new Map([...children].map((item) => [item.key, item]));
  const keys = new Set(rows.map(([key]) => key));
  for (const [key, item] of items) if (!keys.has(key ?? "")) item.remove();
  let next = list.firstElementChild;
  for (const row of rows) {
    const item = items.get(row[0]) ?? Object.assign(makeItem(row), { key: row[0] });
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
    const drawn = JSON.stringify(row);
    if (item.drawn !== drawn) update(item, row);
    item.drawn = drawn;
  }
}

/**
 * Return a function that schedules `callback` for the next animation frame. Further calls before that frame do nothing. A hidden
 * page has no frames: there the callback runs at once, but at most every half second.
 *
 * @param {() => void} callback
 */
export function oncePerFrame(callback) {
  let frame = 0;
  let timer = 0;
  let lastRun = -Infinity;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = 0;
    lastRun = performance.now();
    callback();
  };
  return () => {
    if (document.hidden && performance.now() - lastRun > HIDDEN_PAUSE_MS) return run();
    frame ||= requestAnimationFrame(run);
    timer ||= setTimeout(run, HIDDEN_PAUSE_MS);
  };
}
