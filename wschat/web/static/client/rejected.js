// Why a request, or the connection, has failed. Programs tell errors apart by their codes; people read their messages.

/**
 * What is known besides the code and the text.
 *
 * @typedef {object} Details
 * @property {string} [requestType] the type of the request
 * @property {boolean} [wasSent] if the request had been sent, so that it may have been carried out
 * @property {number} [closeCode] the close code of the WebSocket that was lost
 * @property {number} [status] the HTTP status with which the server has refused the connection
 * @property {string} [challenge] the `WWW-Authenticate` header of that refusal, or an empty string
 */

/**
 * The error for what has failed. The `code` is the server's, or one of the client's own: "lost" if the connection was lost before the
 * reply, "closed" if the client has ended, "replaced" if another connection has taken over the name, "full" if too much is waiting, and
 * "too-big" for a message that is too long for the server.
 */
export class Rejected extends Error {
  /**
   * @param {Pick<V1.Error, "code" | "text"> & Partial<V1.Error>} error
   * @param {Details & {cause?: unknown}} [details]
   */
  constructor({ code, text, seconds, yours = false }, { requestType, wasSent = false, closeCode, status, challenge, cause } = {}) {
    super(text, { cause });
    this.name = "Rejected";
    this.code = code;
    /** After how many seconds the request may succeed, if the server says so. */
    this.seconds = seconds;
    /** True if the name is taken by another connection of the same guest. */
    this.isYours = yours;
    this.requestType = requestType;
    this.wasSent = wasSent;
    this.closeCode = closeCode;
    /** True if it has ended the client. */
    this.isFinal = false;
    this.status = status;
    this.challenge = challenge;
  }
}

/**
 * Return a copy of an error for a request that may have been carried out nevertheless.
 *
 * @param {Rejected} error
 * @param {string} text
 */
export function asSent(error, text = error.message) {
  const { code, seconds, isFinal } = error;
  return Object.assign(new Rejected({ code, text, seconds }, { wasSent: true, cause: error }), { isFinal });
}

/**
 * Return an error as a Rejected. Throws the error if it is none, which is a mistake in a program.
 *
 * @param {unknown} error
 * @returns {Rejected}
 */
export function asRejected(error) {
  if (error instanceof Rejected) return error;
  throw error;
}
