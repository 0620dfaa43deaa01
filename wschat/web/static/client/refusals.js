// The reason why the server refused a WebSocket. Browsers hide it, so it is read from an HTTP request with the same credentials.

import { Rejected } from "./rejected.js";

const TRIED_AGAIN = [408, 425, 429];
const TOO_MANY_REQUESTS = 429;

/**
 * Ask the server why it has refused a WebSocket. Return null if it would not, or cannot be asked, or the signal is aborted.
 *
 * @param {URL} address of the WebSocket, with the credentials in its query
 * @param {AbortSignal} signal
 * @returns {Promise<Rejected | null>}
 */
export async function fetchRefusal(address, signal) {
  try {
    const url = new URL("api/rooms", address);
    url.protocol = url.protocol.replace("ws", "http");
    url.search = address.search;
    // With credentials in the query, the browser need not send its own, and must not ask the user for a password.
    const response = await fetch(url, { cache: "no-store", credentials: address.search ? "omit" : "same-origin", signal });
    if (response.ok) return null;
    const { status } = response;
    const challenge = response.headers.get("WWW-Authenticate") ?? "";
    return new Rejected(await errorOf(response), { status, challenge });
  } catch {
    return null;
  }
}

/**
 * Return the error in a response. Rejects if it has none, as that of a proxy whose server is restarting; a client error is one anyway.
 *
 * @param {Response} response
 * @returns {Promise<V1.Error>}
 */
async function errorOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!isClientError(response.status)) throw error;
    return { type: "error", code: "refused", text: `The server has answered with the status ${response.status}: is it a chat of wschat?` };
  }
}

/** @param {number} status */
const isClientError = (status) => status >= 400 && status < 500;

/**
 * Return true if the same opening request would be refused again: by the statuses 4xx except for those that pass, and after too many
 * passwords, because another attempt would count.
 *
 * @param {Rejected} refusal
 * @param {URL} address
 */
export function isFinal({ status = 0 }, address) {
  if (status === TOO_MANY_REQUESTS) return address.searchParams.has("password");
  return isClientError(status) && !TRIED_AGAIN.includes(status);
}
