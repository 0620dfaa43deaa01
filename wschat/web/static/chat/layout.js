// Layout that style sheets cannot do: the drawers of narrow windows, and the height that an on-screen keyboard leaves.

import { byId } from "./dom.js";

const drawers = ["rooms", "members"].map((id) => byId(id));

/** Close the drawers. */
export function closeDrawers() {
  for (const drawer of drawers) if (drawer.matches(":popover-open")) drawer.hidePopover();
}

/**
 * Return true if an event in a drawer leads to something that the drawer would cover.
 *
 * @param {Event} event
 */
const isNavigation = ({ type, target }) => type === "submit" || (target instanceof Element && target.closest("a") !== null);

matchMedia("(min-width: 60rem)").addEventListener("change", closeDrawers);
for (const drawer of drawers) {
  drawer.addEventListener("toggle", ({ newState }) => {
    if (newState === "open") (drawer.querySelector("a") ?? drawer.querySelector("button"))?.focus();
  });
  for (const type of ["click", "submit"]) drawer.addEventListener(type, (event) => isNavigation(event) && closeDrawers());
  drawer.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !drawer.contains(relatedTarget)) closeDrawers();
  });
}

// Where a keyboard covers the page instead of making it smaller, only the visual viewport has the height that is left.
const viewport = window.visualViewport;
viewport?.addEventListener("resize", () => {
  if (viewport.scale === 1) document.documentElement.style.setProperty("--height", `${viewport.height}px`);
});
