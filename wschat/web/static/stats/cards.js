// Which figures are shown, in which order and how. `series` makes lines of samples: a name and a value for each sample.

import { bytes, count, rate, seconds, share } from "./units.js";

const MOST_LINES = 3; // and one for what is left over

/** A line for each of these figures. */
const of = (names) => (samples) =>
  Object.entries(names).map(([field, name]) => ({ name, values: samples.map((sample) => sample[field]) }));

/** A line for each key of a figure that is an object: those that are named, in their order, or else the largest and one for all others. */
const within = (field, names) => (samples) => {
  const sums = new Map();
  for (const sample of samples)
    for (const [key, value] of Object.entries(sample[field])) sums.set(key, (sums.get(key) ?? 0) + value);
  const known = names ? Object.keys(names) : [...sums.keys()].sort((one, two) => sums.get(two) - sums.get(one));
  const keys = known.filter((key) => sums.get(key));
  const line = (name, some) => ({ name, values: samples.map((sample) => some.reduce((sum, key) => sum + (sample[field][key] ?? 0), 0)) });
  const lines = keys.slice(0, MOST_LINES).map((key) => line(names?.[key] ?? key, [key]));
  return keys.length > MOST_LINES ? [...lines, line("others", keys.slice(MOST_LINES))] : lines;
};

export const CARDS = [
  {
    title: "Connections",
    series: within("connections", { websocket: "WebSockets", events: "event streams", http: "HTTP" }),
    unit: count,
    isSum: true,
    isWide: true,
  },
  { title: "Messages", series: of({ messages: "messages" }), unit: rate },
  { title: "Deliveries", series: of({ deliveries: "deliveries" }), unit: rate },
  {
    title: "Fan-out, from a message to its last member",
    series: of({ fan_out_p50: "p50", fan_out_p99: "p99" }),
    unit: seconds,
    note: "p50",
    isLogarithmic: true,
    isWide: true,
  },
  { title: "Waiting in outboxes", series: of({ outbox_bytes: "bytes" }), unit: bytes },
  { title: "Processor", series: of({ cpu: "of one processor" }), unit: share },
  { title: "Evictions", series: within("evictions", { "outbox full": "outbox full", "too old": "too old", "send timeout": "send timeout" }), unit: count, isSum: true, isEvents: true },
  { title: "Refusals", series: within("refusals"), unit: count, isSum: true, isEvents: true },
  { title: "Threads and descriptors", series: of({ threads: "threads", descriptors: "descriptors" }), unit: count, note: "threads" },
  { title: "Memory", series: of({ memory_bytes: "resident" }), unit: bytes },
];
