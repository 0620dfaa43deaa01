// Refusals: why a request failed. Programs tell them apart by their codes; people read their texts.

const NAME_RULE = "1 to 32 letters, digits, “-”, “_” or “.”.";

/**
 * What is said about a field that a user has filled in, by the type of the request. The server's text names the field, for the
 * authors of clients.
 *
 * @type {Partial<Record<keyof V1.Replies, string>>}
 */
const BAD_FIELDS = { nick: `A name has ${NAME_RULE}`, join: `A room name has ${NAME_RULE}` };

/**
 * The error for a request that failed: with the server's code, or the code "lost" if the connection was lost. `wasSent` and
 * `closeCode` are about a lost connection: if the request had been sent, and the close code of the WebSocket.
 */
export class Refusal extends Error {
  code;
  isYours;
  wasSent;
  closeCode;

  /**
   * @param {Omit<V1.Error, "type">} error
   * @param {{requestType?: keyof V1.Replies, wasSent?: boolean, closeCode?: number}} [details]
   */
  constructor({ code, text, yours = false }, { requestType, wasSent = false, closeCode } = {}) {
    super((code === "bad-field" && requestType && BAD_FIELDS[requestType]) || text);
    this.code = code;
    this.isYours = yours;
    this.wasSent = wasSent;
    this.closeCode = closeCode;
  }
}

/**
 * Return an error as a Refusal. Throws the error if it is none, which is a mistake of the page.
 *
 * @param {unknown} error
 * @returns {Refusal}
 */
export function asRefusal(error) {
  if (error instanceof Refusal) return error;
  throw error;
}
