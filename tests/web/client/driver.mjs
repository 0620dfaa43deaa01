// Runs code that a test sends, one JSON object a line, beside the client: {"id": …, "code": "the body of an async function"}.

import { createInterface } from "node:readline";
import { mock } from "node:test";

import { ScriptedWebSocket } from "./scripted.mjs";

const [file, ws] = process.argv.slice(2);
const { ChatClient, Rejected } = await import(file);
const { default: WebSocket } = await import(ws);
const AsyncFunction = (async () => {}).constructor;

/** The events of a client, in the order in which they come, and a promise for one. */
function record(chat, ...types) {
  const events = [];
  const waiting = new Set();
  for (const type of types) {
    chat.on(type, (event) => {
      events.push({ ...event, type });
      for (const check of waiting) check();
    });
  }
  const until = (condition) =>
    new Promise((resolve) => {
      const check = () => {
        if (!condition(events)) return;
        waiting.delete(check);
        resolve(events);
      };
      waiting.add(check);
      check();
    });
  return { events, until };
}

/** A storage, with a copy of what is in another one. */
const memory = (other) => {
  const values = new Map(other?.values);
  return { values, getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
};

/** The clients that the tests have made. */
const clients = new Set();
class TestClient extends ChatClient {
  constructor(...options) {
    super(...options);
    clients.add(this);
  }
}

/** Close the clients of a test, and forget its variables. */
function reset() {
  mock.timers.reset();
  mock.restoreAll();
  for (const client of clients) client.close();
  clients.clear();
  for (const name of Object.keys(globalThis)) if (!names.has(name)) delete globalThis[name];
  globalThis.fetch = fetch;
}

const { fetch } = globalThis;
Object.assign(globalThis, { ChatClient: TestClient, Rejected, ScriptedWebSocket, record, memory, mock, reset, options: { WebSocket } });
const names = new Set(Object.keys(globalThis));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, code } = JSON.parse(line);
  run(code).then(
    (result = null) => console.log(JSON.stringify({ id, result })),
    (error) => console.log(JSON.stringify({ id, error: { ...error, name: error.name, message: error.message } })),
  );
}

async function run(code) {
  return new AsyncFunction(code)();
}
