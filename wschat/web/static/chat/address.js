// The room in the page's address, as `#/NAME`, and how rooms are written there and wherever else somebody types one. Addresses that
// people write have `#NAME`, and the server leads from `rooms/NAME` to `?room=NAME`.

import { isTokenGiven } from "./token.js";

/** A room as the server writes it. The few letters of which that is not true are put right by its answer to `join`. */
export const keyOf = (name) => name.trim().normalize("NFKC").toLowerCase().replaceAll("ς", "σ").replaceAll("ß", "ss");

/** The address of a room, within that of the page. */
export const addressOf = (name) => `#/${encodeURIComponent(name)}`;

/** The room in the page's address, as it is written there; empty if there is none. */
export function addressed() {
  try {
    const written = isTokenGiven() ? "" : decodeURIComponent(location.hash.replace(/^#\/?/, ""));
    return written || (new URLSearchParams(location.search).get("room") ?? "");
  } catch {
    return "";
  }
}
