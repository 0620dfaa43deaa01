// What depends on the size of the window: the drawers of narrow ones, and the room that a soft keyboard leaves.

import { byId } from "./dom.js";

const drawers = ["rooms", "members"].map(byId);

/** Close the drawers, if any is open. */
export function closeDrawers() {
  for (const drawer of drawers) if (drawer.matches(":popover-open")) drawer.hidePopover();
}

/** Whether an event in a drawer shows something else, which the drawer would hide. */
const leads = ({ type, target }) => type === "submit" || target.closest("a");

matchMedia("(min-width: 60rem)").addEventListener("change", closeDrawers);
for (const drawer of drawers) {
  drawer.addEventListener("toggle", ({ newState }) => newState === "open" && (drawer.querySelector("a") ?? drawer.querySelector("button"))?.focus());
  for (const kind of ["click", "submit"]) drawer.addEventListener(kind, (event) => leads(event) && closeDrawers());
  drawer.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && !drawer.contains(relatedTarget) && closeDrawers());
}

// Where a keyboard covers the page instead of making it smaller, only this says what is left.
visualViewport?.addEventListener("resize", () => {
  if (visualViewport.scale === 1) document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});
