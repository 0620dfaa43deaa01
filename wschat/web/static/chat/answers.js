// What the page does when a line that was typed has its answer: most commands show what they do by events of their own.

import { keyOf } from "./address.js";
import { announce } from "./announcer.js";
import { isCommand } from "./completion.js";
import { make, makeButton } from "./dom.js";
import { itemForWhisper, lineOf } from "./message.js";
import { sentence } from "./text.js";

const LONGEST_SHOWN = 200;

/** Do what the answer to a line asks for. `page` is what `main.js` puts together. */
export function takeAnswer(page, { room: name, text }, answer) {
  const room = page.rooms.find(name) ?? page.rooms.current;
  if (answer.type !== "ack") return SHOWN[answer.type]?.(page, room, answer);
  if (answer.seq !== undefined) return; // a message, which has come or will
  const [, command, rest] = /^\/(\S+)\s*([^]*)$/.exec(text) ?? [];
  const done = DONE[command?.toLowerCase()];
  if (done) done(page, name, rest, text);
  else room.say(sentence`Done: ${text}`);
}

/**
 * Say why a line was refused. A message stays below the others, if its room is still there; a command is nothing to keep. Either
 * can be corrected.
 */
export function takeRefusal(page, item) {
  const { room: name, text, why } = item;
  if (!isCommand(text) && page.rooms.find(name)) return announce(why);
  page.outbox.discard(item);
  const room = page.rooms.find(name) ?? page.rooms.current;
  const shown = text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
  room.say(sentence`${shown} – ${why}`, "error", makeButton("link", "Edit", () => page.edit(text)));
}

const SHOWN = {
  joined: (page, _, answer) => page.rooms.admit(answer),
  notice: (_, room, { text }) => room.say(text),
  members: (_, room, { members, unnamed }) =>
    room.say(sentence`In ${room.name}: ${[...orNobody(members), ...(unnamed ? [`and ${unnamed} without a name`] : [])]}.`),
  rooms: (_, room, { rooms }) => room.say(sentence`Rooms: ${rooms.map((other) => `${other.room} (${other.members})`)}.`),
  history: (_, room, { messages }) => room.say(messages.length ? linesOf(messages) : "Nothing is kept of what was said here."),
};

const orNobody = (members) => (members.length ? [...members].sort() : ["nobody"]);
const linesOf = (messages) => make("span", "", ...messages.flatMap((message) => [lineOf(message), "\n"]));

/** What was done about somebody is told to all in the room, us among them, unless it is about an address or somebody who is not there. */
function moderated(page, name, rest, text) {
  const room = page.rooms.find(name);
  const command = text.slice(1).split(" ", 1)[0].toLowerCase();
  const [target, seconds] = rest.split(/\s+/);
  const event = seconds === "0" ? `un${command}` : command;
  if (room?.isNews(event, target)) room.say(sentence`Done: ${text}`);
}

const DONE = {
  kick: moderated,
  ban: moderated,
  unban: moderated,
  mute: moderated,
  op: moderated,
  leave: (page, name) => page.rooms.forget(name),
  nick: (page, _, name) => page.names.set(name.trim().normalize("NFKC")),
  msg: (page, _, rest) => {
    const [, to, said] = /^(\S+)\s+([^]*)$/.exec(rest);
    if (keyOf(to) === keyOf(page.names.name)) return; // it has come to us
    const item = itemForWhisper({ to, text: said, time: Date.now() / 1000 }, true, page.whisperTo);
    page.rooms.current.show(item);
  },
};
