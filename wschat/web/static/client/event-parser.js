// Reading what the server sends. What the client itself relies on is checked here, and nowhere else.

/** @typedef {(value: any) => boolean} Check */

/** @type {Check} */
const string = (value) => typeof value === "string";
/** @type {Check} */
const object = (value) => typeof value === "object" && value !== null;
/** @type {Check} */
const stringOrNull = (value) => value === null || string(value);

/** @type {(check: Check) => Check} */
const list = (check) => (value) => Array.isArray(value) && value.every(check);

/** @type {(fields: Record<string, Check>) => Check} */
const record = (fields) => (value) => object(value) && Object.entries(fields).every(([name, check]) => check(value[name]));

const message = record({ room: string, seq: Number.isInteger, from: string, text: string });

/** What must be in an event, by its type. */
const CHECKS = new Map(
  Object.entries({
    welcome: record({ name: stringOrNull, limits: object }),
    message,
    joined: record({ room: string, epoch: string, last: Number.isInteger, messages: list(message) }),
    history: record({ messages: list(message) }),
    members: record({ members: list(string) }),
    rooms: record({ rooms: list(record({ room: string })) }),
    member: record({ room: string, name: string, event: string }),
    error: record({ code: string, text: string }),
  }),
);

/**
 * Return the event, or the reply, in a JSON object. Throws an error if it is none.
 *
 * @param {string} data
 * @returns {V1.Event & {id?: string}}
 */
export function parseEvent(data) {
  const event = JSON.parse(data);
  if (!object(event) || !string(event.type)) throw new TypeError('an event must be a JSON object with a "type"');
  const isEntry = event.type === "topic" && event.id === undefined; // else it is a reply, without the fields of an entry
  const check = CHECKS.get(isEntry ? "message" : event.type);
  if (check && !check(event)) throw new TypeError(`${event.type}: a field is missing or has a wrong type`);
  return event;
}
