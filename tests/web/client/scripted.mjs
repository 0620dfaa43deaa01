// A WebSocket whose other end is a test.

const WELCOME = { type: "welcome", server: "scripted", name: "alice", limits: {} };

/** The last one is `ScriptedWebSocket.last`. It is closed at once when it is to be closed, unless it `ignoresClose`. */
export class ScriptedWebSocket extends EventTarget {
  CLOSED = 3;
  readyState = 0;
  /** The requests that the client has sent. */
  requests = [];
  ignoresClose = false;

  constructor(url) {
    super();
    this.url = url;
    ScriptedWebSocket.last = this;
  }

  send(text) {
    this.requests.push(JSON.parse(text));
    this.fire("request");
  }

  close(code) {
    this.code ??= code;
    if (!this.ignoresClose && this.readyState !== this.CLOSED) queueMicrotask(() => this.lose(code));
  }

  /** Accept the connection. */
  open(welcome = WELCOME) {
    this.readyState = 1;
    this.fire("open");
    this.tell(welcome);
  }

  /** Have the client receive an event, or any text. */
  tell(event) {
    this.fire("message", { data: typeof event === "string" ? event : JSON.stringify(event) });
  }

  /** Close the connection. */
  lose(code = 1006) {
    this.readyState = this.CLOSED;
    this.fire("close", { code });
  }

  /** Refuse the connection, as a version of Node does that has no "close" then. */
  fail() {
    this.readyState = this.CLOSED;
    this.fire("error");
  }

  fire(type, fields = {}) {
    const event = Object.assign(new Event(type), fields);
    this[`on${type}`]?.(event);
    this.dispatchEvent(event);
  }
}
