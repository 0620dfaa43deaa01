// What the page says when a request was rejected.

import { asRejected } from "../client/rejected.js";

const NAME_RULE = "1 to 32 letters, digits, “-”, “_” or “.”.";

/**
 * What is said about a field that a user has filled in, by the type of the request. The server's text names the field, for the
 * authors of clients.
 *
 * @type {Record<string, string>}
 */
const BAD_FIELDS = { nick: `A name has ${NAME_RULE}`, join: `A room name has ${NAME_RULE}` };

/**
 * Return an error as a Rejected, with a message for the user. Throws the error if it is none, which is a mistake of the page.
 *
 * @param {unknown} error
 */
export function asRefusal(error) {
  const rejected = asRejected(error);
  if (rejected.code === "bad-field") rejected.message = BAD_FIELDS[rejected.requestType ?? ""] ?? rejected.message;
  return rejected;
}
