// What the page shows for the reply to a line that the user sent. The effect of most commands is shown by events of their own.

import { keyOf } from "../client/names.js";
import { announce } from "./announcer.js";
import { isCommand } from "./completion.js";
import { make, makeButton } from "./dom.js";
import { itemForWhisper, sentenceOf } from "./message.js";
import { sentence } from "./text.js";

/** @typedef {import("./room.js").Room} Room */
/** @typedef {import("../client/outbox.js").Item} Item */

/**
 * The parts of the page that replies are shown in.
 *
 * @typedef {object} Page
 * @property {import("./identity.js").Identity} identity
 * @property {import("../client/outbox.js").Outbox} outbox
 * @property {import("./rooms.js").Rooms} rooms
 * @property {(text: string) => void} edit puts a line into the message field
 * @property {(name: string) => void} whisperTo begins a whisper
 */

const MAX_CHARACTERS = 200; // of a line that is repeated

/**
 * Show the reply to a line.
 *
 * @param {Page} page
 * @param {Item} item
 * @param {V1.Reply} reply
 */
export function showReply(page, { room: name, text }, reply) {
  const room = page.rooms.find(name) ?? page.rooms.current;
  if (reply.type === "joined") page.rooms.showJoined(reply);
  else if (reply.type !== "ack") showList(room, reply);
  else if (reply.seq === undefined) showDone(page, room, name, text); // a message has a number, and is shown by its event
}

/**
 * Show why a line was refused. A message stays in the outbox if its room is still there; a command is discarded. Both can be edited.
 *
 * @param {Page} page
 * @param {Item} item
 */
export function showRefusal(page, item) {
  const { room: name, text, why = "" } = item;
  if (!isCommand(text) && page.rooms.find(name)) return announce(why);
  page.outbox.discard(item);
  const room = page.rooms.find(name) ?? page.rooms.current;
  const shown = text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
  room.showNotice(sentence`${shown} – ${why}`, "error", makeButton("link", "Edit", () => page.edit(text)));
}

/**
 * @param {Room} room
 * @param {V1.Reply} reply
 */
function showList(room, reply) {
  if (reply.type === "notice") room.showNotice(reply.text);
  else if (reply.type === "members") {
    const names = reply.members.length ? [...reply.members].sort() : ["nobody"];
    const unnamed = reply.unnamed ? [`and ${reply.unnamed} without a name`] : [];
    room.showNotice(sentence`In ${room.name}: ${[...names, ...unnamed]}.`);
  } else if (reply.type === "topic") {
    const { from = "", text } = reply;
    room.showNotice(text ? sentence`Topic of ${room.name}, set by ${from}: ${text}` : sentence`${room.name} has no topic.`);
  } else if (reply.type === "rooms") {
    room.showNotice(sentence`Rooms: ${reply.rooms.map((other) => `${other.room} (${other.members})`)}.`);
  } else if (reply.type === "history") {
    const lines = reply.messages.flatMap((message) => [sentenceOf(message), "\n"]);
    room.showNotice(lines.length ? make("span", "", ...lines) : "There are no earlier messages.");
  }
}

/**
 * @param {Page} page
 * @param {Room} room
 * @param {string} name the name of the room that the line was sent to
 * @param {string} text
 */
function showDone(page, room, name, text) {
  const [, command = "", rest = ""] = /^\/(\S+)\s*([^]*)$/.exec(text) ?? [];
  const show = DONE[command.toLowerCase()];
  if (show) show(page, name, rest, text);
  else room.showNotice(sentence`Done: ${text}`);
}

/**
 * Confirm a moderation command, unless its event has told the room, the moderator included. There is no event for an address, or
 * for a user who is not there.
 *
 * @param {Page} page
 * @param {string} name
 * @param {string} rest
 * @param {string} text
 */
function showModerated(page, name, rest, text) {
  const room = page.rooms.find(name);
  const command = text.slice(1).split(" ", 1)[0].toLowerCase();
  const [target, seconds] = rest.split(/\s+/);
  const event = seconds === "0" ? `un${command}` : command;
  if (room?.isFirstReport(event, target)) room.showNotice(sentence`Done: ${text}`);
}

/** @type {Record<string, (page: Page, room: string, rest: string, text: string) => void>} */
const DONE = {
  kick: showModerated,
  ban: showModerated,
  unban: showModerated,
  mute: showModerated,
  op: showModerated,
  leave: (page, room) => page.rooms.forget(room),
  nick: (page, _, rest) => page.identity.setName(rest.trim().normalize("NFKC")),
  msg: (page, _, rest) => {
    const [, to, text] = /^(\S+)\s+([^]*)$/.exec(rest) ?? ["", rest, ""];
    if (keyOf(to) === keyOf(page.identity.name ?? "")) return; // the whisper itself is shown
    page.rooms.current.append(itemForWhisper({ to, text, time: Date.now() / 1000 }, page.whisperTo));
  },
};
