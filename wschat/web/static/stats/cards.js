// The cards of the dashboard, in order: what each shows, and how.

import { bytes, count, rate, seconds, share } from "./units.js";

/** @typedef {{name: string, values: (number | null)[]}} Series a line of a chart: a value for each sample, or null if unknown */

/**
 * @typedef {object} CardSpec
 * @property {string} title
 * @property {(samples: Stats.Sample[]) => Series[]} series
 * @property {import("./units.js").Unit} unit
 * @property {string} [note] what the number is, if the title does not say it
 * @property {boolean} [isSum] if the number is the sum of all series, and not that of the first
 * @property {boolean} [isEvents] if the values are counts of events, shown as bars
 * @property {boolean} [isLogarithmic]
 * @property {boolean} [isWide]
 */

const MAX_SERIES = 3; // and one for all others

/**
 * Return a function that makes a series for each of these fields of the samples.
 *
 * @param {Record<string, string>} names by field
 * @returns {CardSpec["series"]}
 */
const fields = (names) => (samples) =>
  Object.entries(names).map(([field, name]) => ({
    name,
    values: samples.map((sample) => /** @type {number | null} */ (sample[field])),
  }));

/**
 * Return a function that makes a series for each key of a field that is an object: for the named keys in their order, or else for
 * the largest ones, and one for all others.
 *
 * @param {string} field
 * @param {Record<string, string>} [names] by key
 * @returns {CardSpec["series"]}
 */
const keysOf = (field, names) => (samples) => {
  const objects = samples.map((sample) => /** @type {Record<string, number>} */ (sample[field]));
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const object of objects) for (const [key, value] of Object.entries(object)) sums.set(key, (sums.get(key) ?? 0) + value);
  /** @param {string} key */
  const sumOf = (key) => sums.get(key) ?? 0;
  const known = names ? Object.keys(names) : [...sums.keys()].sort((one, two) => sumOf(two) - sumOf(one));
  const keys = known.filter(sumOf);
  /**
   * @param {string} name
   * @param {string[]} some
   */
  const seriesOf = (name, some) => ({ name, values: objects.map((object) => some.reduce((sum, key) => sum + (object[key] ?? 0), 0)) });
  const all = keys.slice(0, MAX_SERIES).map((key) => seriesOf(names?.[key] ?? key, [key]));
  return keys.length > MAX_SERIES ? [...all, seriesOf("others", keys.slice(MAX_SERIES))] : all;
};

/** @type {CardSpec[]} */
export const CARDS = [
  {
    title: "Connections",
    series: keysOf("connections", { websocket: "WebSockets", events: "event streams", http: "HTTP" }),
    unit: count,
    isSum: true,
    isWide: true,
  },
  { title: "Messages", series: fields({ messages: "messages" }), unit: rate },
  { title: "Deliveries", series: fields({ deliveries: "deliveries" }), unit: rate },
  {
    title: "Fan-out time, to the last member",
    series: fields({ fan_out_p50: "p50", fan_out_p99: "p99" }),
    unit: seconds,
    note: "p50",
    isLogarithmic: true,
    isWide: true,
  },
  { title: "Send buffers", series: fields({ outbox_bytes: "bytes" }), unit: bytes },
  { title: "CPU", series: fields({ cpu: "of one processor" }), unit: share },
  { title: "Evicted peers", series: keysOf("evictions"), unit: count, isSum: true, isEvents: true },
  { title: "Refused requests", series: keysOf("refusals"), unit: count, isSum: true, isEvents: true },
  {
    title: "Threads and file descriptors",
    series: fields({ threads: "threads", descriptors: "descriptors" }),
    unit: count,
    note: "threads",
  },
  { title: "Memory", series: fields({ memory_bytes: "resident" }), unit: bytes },
];
