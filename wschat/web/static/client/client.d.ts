// Types of the client's interface: its options and its events.

declare namespace Client {
  interface Options {
    /** The name to take; without one, the name that a token gives. */
    name?: string | null;
    /** Rooms to join first. The client ends if it cannot join one of them. */
    rooms?: Iterable<string>;
    /** For a chat that needs tokens; a function is called before each connection. */
    token?: string | (() => string);
    /** A moderator's, with the name that it belongs to. */
    password?: string;
    /** A guest's, of an earlier connection, to have its name back; by default the one in the storage or in the welcome. */
    secret?: string;
    /** Where the outbox and the secret are kept, such as `sessionStorage`; by default they end with the client. */
    storage?: Pick<Storage, "getItem" | "setItem">;
    /** How many texts may wait in the outbox, and how many other requests for their replies. */
    maxPending?: number;
    /** The class of WebSockets: that of the package `ws` for Node 20. */
    WebSocket?: unknown;
    /** Returns the credentials for the next connection, in place of `token` and `password`. */
    credentials?: () => Record<string, string>;
    /** Takes a name on a new connection, in place of the client. The signal is aborted when the connection is lost. */
    signIn?: (welcome: V1.Welcome, signal: AbortSignal) => Promise<void>;
  }

  /** Where to begin with a room. */
  interface JoinOptions {
    /** The number of a message: `messages` of the reply are those after it, or the last ones if there are too many. */
    since?: number;
    /** The epoch of `since`: the messages after it are delivered as events. */
    epoch?: string;
    /** If other requests may go first. */
    isPatient?: boolean;
  }

  /** A room was joined, first or again: then `resumed` is true, and the missed messages follow as events. */
  interface Joined extends V1.Joined {
    resumed: boolean;
  }

  /** Messages before the number `first` are missing. If the log of the room is `lost`, it begins anew. */
  interface Gap {
    type: "gap";
    room: string;
    first: number;
    missing: number;
    lost: boolean;
    text: string;
  }

  /** An error that is no reply, or that of a request of the client itself in a room. */
  interface Failure extends V1.Error {
    room?: string;
  }

  interface Events {
    message: V1.Message;
    topic: V1.Message;
    joined: Joined;
    gap: Gap;
    member: V1.Member;
    typing: V1.Typing;
    whisper: V1.Whisper;
    notice: V1.Notice;
    error: Failure;
    welcome: V1.Welcome;
    /** A WebSocket is being opened. */
    connecting: { type: "connecting" };
    /** The client has its name; requests are sent. */
    connected: { type: "connected" };
    /** The connection is lost. `until` is the time of the next attempt, in milliseconds since 1970; `text` says why it was refused, or ended. */
    waiting: { type: "waiting"; until: number; text: string };
    /** The client has ended. */
    closed: { type: "closed"; error: import("./rejected.js").Rejected };
    /** The outbox of a room has changed. */
    outbox: { type: "outbox"; room: string };
    /** A line of the outbox has its reply. */
    sent: { type: "sent"; item: import("./outbox.js").Item; reply: V1.Reply };
    /** A line of the outbox has failed. */
    failed: { type: "failed"; item: import("./outbox.js").Item; error: import("./rejected.js").Rejected };
  }
}
