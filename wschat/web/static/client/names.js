// Names of rooms and users, as the server compares them.

/**
 * Return the key of a name: a room's name as the server writes it. A few letters have another lower case on the server; its reply to
 * `join` has the right key.
 *
 * @param {string} name
 */
export const keyOf = (name) => name.trim().normalize("NFKC").toLowerCase().replaceAll("ς", "σ").replaceAll("ß", "ss");

/**
 * Return true if two names are the same for the server.
 *
 * @param {string | null} one
 * @param {string | null} other
 */
export const isSameName = (one, other) => one !== null && other !== null && keyOf(one) === keyOf(other);
