// The room in the page's address, written as `#/NAME`. A link may also have `#NAME`, and the server redirects `rooms/NAME` to
// `?room=NAME`.

import { hasTokenInAddress } from "./token.js";

/**
 * Return the key of a room: its name as the server writes it. A few letters have another lower case on the server; its reply to
 * `join` has the right key.
 *
 * @param {string} name
 */
export const keyOf = (name) => name.trim().normalize("NFKC").toLowerCase().replaceAll("ς", "σ").replaceAll("ß", "ss");

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
