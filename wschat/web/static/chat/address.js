// The room in the page's address, written as `#/NAME`. A link may also have `#NAME`, and the server redirects `rooms/NAME` to
// `?room=NAME`.

import { hasTokenInAddress } from "./token.js";

/**
 * Return the address of a room, relative to the page.
 *
 * @param {string} name
 */
export const addressOf = (name) => `#/${encodeURIComponent(name)}`;

/** Return the name of the room in the page's address as it is written there, or an empty string. */
export function roomInAddress() {
  try {
    const written = hasTokenInAddress() ? "" : decodeURIComponent(location.hash.replace(/^#\/?/, ""));
    return written || (new URLSearchParams(location.search).get("room") ?? "");
  } catch {
    return "";
  }
}
