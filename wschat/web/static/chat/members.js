// Who is in the room that is shown, and who is typing there.

import { byId, fillList, make, makeButton } from "./dom.js";

const MOST_SHOWN = 500;
const TOLD_EVERY = 3000;
const FADES_AFTER = 5000;
const MOST_NAMED = 3;

/** The list of members. */
export class Members {
  /**
   * @param {object} hooks
   * @param {() => object} hooks.me who we are
   * @param {(name: string) => void} hooks.onMention
   * @param {(name: string) => void} hooks.onWhisper
   */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /** Show who is in a room. */
  show(room) {
    const me = this.hooks.me().name;
    const names = [...room.members].sort((one, other) => (other === me) - (one === me) || one.localeCompare(other));
    const rows = names.slice(0, MOST_SHOWN).map((name) => [name, name === me]);
    fillList(byId("people"), names.length > MOST_SHOWN ? [...rows, [names.length - MOST_SHOWN]] : rows, (row) => this.#item(row));
    byId("count").textContent = names.length.toLocaleString();
  }

  #item([name, isMe]) {
    if (isMe === undefined) return make("li", "more", `and ${name.toLocaleString()} more`);
    const shown = make("bdi", "", name);
    if (isMe) return make("li", "", make("span", "person", shown, " (you)"));
    const mention = makeButton("person", shown, () => this.hooks.onMention(name));
    const whisper = makeButton("whisper-to", "Whisper", () => this.hooks.onWhisper(name));
    mention.ariaLabel = `Mention ${name}`;
    whisper.ariaLabel = `Whisper to ${name}`;
    mention.dataset.key = name;
    whisper.dataset.key = `${name} whisper`;
    return make("li", "", mention, whisper);
  }
}

/** Who is typing: others, and ourselves. */
export class Typing {
  #until = new Map(); // by room and name
  #toldAt = 0;
  #room = null;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    this.connection = connection;
    setInterval(() => this.#draw(), 1000);
  }

  /** We are typing in a room. */
  tell(room) {
    if (Date.now() - this.#toldAt < TOLD_EVERY) return;
    this.#toldAt = Date.now();
    this.connection.mention({ type: "typing", room });
  }

  /** We have said it: the next key is news again. */
  rest() {
    this.#toldAt = 0;
  }

  /** Somebody is typing. */
  begin(room, name) {
    this.#until.set(`${room} ${name}`, Date.now() + FADES_AFTER);
    this.#draw();
  }

  /** Somebody has said it. */
  end(room, name) {
    if (this.#until.delete(`${room} ${name}`)) this.#draw();
  }

  /** Show who is typing in this room. */
  show(room) {
    this.#room = room;
    this.#draw();
  }

  #draw() {
    const now = Date.now();
    for (const [key, until] of this.#until) if (until < now) this.#until.delete(key);
    const names = [...this.#until.keys()].map((key) => key.split(" ")).filter(([room]) => room === this.#room);
    const text = names.length > MOST_NAMED ? "Several people are typing" : sentence(names.map(([, name]) => name));
    if (byId("typing").textContent !== text) byId("typing").textContent = text;
  }
}

function sentence(names) {
  if (names.length === 0) return "";
  const last = names.at(-1);
  return names.length === 1 ? `${last} is typing` : `${names.slice(0, -1).join(", ")} and ${last} are typing`;
}
