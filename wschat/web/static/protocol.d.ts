// Types of what the page reads from its server: `wschat.v1` (the server's records are in wschat/events.py) and the samples of
// /stats/data. They are for the type checker only, and no part of the page.

declare namespace V1 {
  interface Limits {
    requests?: number;
    seconds?: number;
  }

  /** The first event of a connection; `name` is null if the client has to choose one. */
  interface Welcome {
    type: "welcome";
    server: string;
    name: string | null;
    limits: Limits;
    secret?: string;
  }

  /** An entry of a room's log: a message or, of the type "topic", a change of the topic. */
  interface Message {
    type?: "message" | "topic";
    room: string;
    seq: number;
    from: string;
    text: string;
    /** In seconds since 1970. */
    time: number;
  }

  /** The topic of a room. */
  interface RoomTopic {
    seq: number;
    from: string;
    text: string;
    time: number;
  }

  interface Joined {
    type: "joined";
    room: string;
    epoch: string;
    last: number;
    members: string[];
    moderators?: string[];
    topic?: RoomTopic;
    messages: Message[];
    more: boolean;
    gap: boolean;
  }

  type MemberEventKind = "join" | "leave" | "rename" | "kick" | "ban" | "unban" | "mute" | "unmute" | "op";

  interface Member {
    type: "member";
    room: string;
    name: string;
    event: MemberEventKind;
    new_name?: string;
    moderator?: boolean;
  }

  interface Typing {
    type: "typing";
    room: string;
    name: string;
  }

  interface Whisper {
    type: "whisper";
    from: string;
    to: string;
    text: string;
    time: number;
  }

  interface History {
    type: "history";
    room: string;
    messages: Message[];
    more: boolean;
    gap: boolean;
  }

  interface Members {
    type: "members";
    room: string;
    members: string[];
    unnamed: number;
    topic?: RoomTopic;
  }

  /** The reply to `topic`. Without a topic, the text is empty and the others are missing. */
  interface Topic extends Partial<RoomTopic> {
    type: "topic";
    room: string;
    text: string;
  }

  interface RoomSummary {
    room: string;
    members: number;
    last: number;
  }

  interface RoomList {
    type: "rooms";
    rooms: RoomSummary[];
    more?: boolean;
  }

  interface Ack {
    type: "ack";
    seq?: number;
  }

  /** `seconds` is when to try again; `yours` is true for a name that the same guest has on another connection. */
  interface Error {
    type: "error";
    code: string;
    text: string;
    seconds?: number;
    yours?: boolean;
  }

  /** A text for people. `room` and `event` are those of the `member` event that it explains, if there is one. */
  interface Notice {
    type: "notice";
    text: string;
    room?: string;
    event?: MemberEventKind;
  }

  /** `usage` is how the command is written; `moderator` is true if it is for moderators only. */
  interface Command {
    name: string;
    usage: string;
    help: string;
    moderator?: boolean;
  }

  interface Commands {
    type: "commands";
    commands: Command[];
  }

  interface Pong {
    type: "pong";
  }

  type Reply = Ack | Joined | History | Members | Topic | RoomList | Notice | Commands | Pong;
  type Event = Welcome | Message | Member | Typing | Whisper | Error | Exclude<Reply, Topic>;

  /** The replies to requests, by the type of the request. A `say` may be a command, so it may have any reply. */
  interface Replies {
    join: Joined;
    leave: Ack;
    say: Reply;
    nick: Ack;
    typing: Ack;
    who: Members;
    rooms: RoomList;
    history: History;
    topic: Ack | Topic;
    whisper: Ack;
    mute: Ack;
    ban: Ack;
    kick: Ack;
    unban: Ack;
    op: Ack;
    "lock-topic": Ack;
    help: Notice;
    commands: Commands;
    ping: Pong;
  }

  type Request<T extends keyof Replies> = { type: T; id?: string; [field: string]: unknown };
}

declare namespace Stats {
  /** What happened in the seconds before `time`, and what there was at the end. Null is unknown. */
  interface Sample {
    time: number;
    [field: string]: number | null | Record<string, number>;
  }

  interface Data {
    next: number;
    seconds: number;
    samples: Sample[];
  }
}

/** What the page keeps on the items of its lists. */
interface HTMLLIElement {
  /** The message of an item in a log. */
  message?: V1.Message;
  /** The time of another item in a log, in seconds since 1970. */
  time?: number;
  /** The key of the row of an item that `fillList` made. */
  key?: string;
  /** The row as it was drawn last, in JSON. */
  drawn?: string;
}
