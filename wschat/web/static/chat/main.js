// The page: creates its parts and connects them with the client and with each other.

import { messageText } from "../client/outbox.js";
import { ChatClient } from "../client/wschat.js";
import { announce, announceMessage } from "./announcer.js";
import { setPresent } from "./colours.js";
import { Composer } from "./composer.js";
import { byId } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Identity } from "./identity.js";
import { closeDrawers } from "./layout.js";
import { showMembers } from "./members.js";
import { itemForUnsent, itemForWhisper, sentenceOf } from "./message.js";
import { asRefusal } from "./refusal.js";
import { showRefusal, showReply } from "./replies.js";
import { Rooms } from "./rooms.js";
import { hideStatus, showStatus } from "./status.js";
import { showTopic } from "./topic.js";
import { Typing } from "./typing.js";

/** @typedef {import("./room.js").Room} Room */
/** @typedef {import("../client/wschat.js").Rejected} Rejected */

let unread = 0;
/** @type {V1.Command[]} */
let commands = [];

const drafts = new Drafts();
const chat = new ChatClient(new URL("./", document.baseURI), {
  storage: {
    getItem: (key) => sessionStorage.getItem(key), // may be forbidden
    setItem: (key, value) => sessionStorage.setItem(key, value),
  },
  credentials: () => identity.credentials(),
  signIn: (welcome, signal) => identity.signIn(welcome, signal),
});
const { outbox } = chat;
const identity = new Identity(chat, { onName: showName, onWait: showNameInUse });
const typing = new Typing((room) => chat.typing(room));
const composer = new Composer({
  onSend: send,
  onChange: (text) => drafts.set(rooms.current.name, text),
  onTyping: () => typing.userTyped(),
  candidates: () => ({
    commands,
    names: [...rooms.current.members].filter((name) => name !== identity.name),
    rooms: rooms.names,
  }),
});
const rooms = new Rooms(chat, {
  me: () => identity,
  onMembers: (room) => room === rooms.current && showRoomMembers(room),
  onTopic: (room) => room === rooms.current && showTopic(room),
  onMessage: handleMessage,
  onRefused: showRefusals,
  onShow: showRoom,
  onUnread: (count) => {
    unread = count;
    showTitle();
  },
});
const page = { identity, outbox, rooms, edit, whisperTo };

/**
 * An error that is no reply, or that of a request of the client itself.
 *
 * @param {Client.Failure} failure
 */
function handleError({ code, text, room = "" }) {
  if (code === "replaced") return; // the client has ended, which has a status of its own
  if (!room) rooms.current.showNotice(text, "error");
  else if (code === "unavailable") rooms.find(room)?.showNotice(`${text} Trying again …`);
  else rooms.find(room)?.setRemoved(text, "error");
}

/** @param {{error: Rejected}} event */
function handleClosed({ error }) {
  if (error.code === "replaced") {
    identity.handleReplaced();
    const text = `You are now ${identity.name} in another tab or on another device.`;
    showStatus(text, { button: "Use it here", onClick: () => identity.takeOver() });
  } else if (identity.handleRefused(error)) hideStatus();
  else showStatus(error.message, { button: "Try again", onClick: reconnect });
}

/** @param {{until: number, text: string}} event */
function handleWaiting({ until, text }) {
  const why = text ? `No connection: ${text}` : "Connection lost.";
  showStatus(why, { next: until, button: "Try now", onClick: reconnect });
}

function handleConnected() {
  hideStatus();
  rooms.joinNew(outbox.rooms);
  loadCommands();
}

/** Load the commands that can be completed. Without the list they can still be typed. */
async function loadCommands() {
  try {
    ({ commands } = await chat.run("commands"));
  } catch (error) {
    asRefusal(error);
  }
}

function reconnect() {
  chat.connect();
}

/** @param {string} text */
function send(text) {
  outbox.add(rooms.current.name, text);
  rooms.current.log.toBottom();
}

/**
 * @param {Room} room
 * @param {V1.Message} message
 */
function handleMessage(room, message) {
  typing.end(room.name, message.from);
  if (message.from === identity.name) typing.userSent();
  else if (room === rooms.current) announceMessage(sentenceOf(message).textContent ?? "");
}

/** @param {V1.Whisper} whisper */
function showWhisper(whisper) {
  rooms.current.unseenWhispers += 1;
  rooms.current.append(itemForWhisper(whisper, whisperTo));
  announce(`${whisper.from} whispers: ${whisper.text}`);
}

/**
 * @param {Room} room
 * @param {Room | null} before
 */
function showRoom(room, before) {
  composer.text = drafts.get(room.name);
  typing.show(room.name);
  showRoomMembers(room);
  showTopic(room);
  showUnsent(room.name);
  closeDrawers();
  if (before) composer.focus();
}

/** @param {Room} room */
function showRoomMembers(room) {
  setPresent(room.members);
  showMembers(room, identity, { onMention: mention, onWhisper: whisperTo });
}

/** @param {string} room */
function showUnsent(room) {
  rooms.find(room)?.log.showUnsent(() =>
    outbox.itemsOf(room).map((item, place) => {
      const editItem = () => {
        outbox.discard(item);
        edit(item.text);
      };
      /** @type {[label: string, onClick: () => void][]} */
      const actions = [
        item.mayRetry ? ["Try again", () => outbox.retry(item)] : ["Edit", editItem],
        ["Discard", () => outbox.discard(item)],
      ];
      const key = [item.id, item.state, item.why, place === 0, identity.name].join();
      const content = { ...item, text: messageText(item.text) };
      return [key, () => itemForUnsent(content, place > 0, identity, actions)];
    }),
  );
}

/** @param {import("../client/outbox.js").Item} item */
function handleFailed(item) {
  const room = rooms.find(item.room);
  if (!room || room.epoch !== null) showRefusal(page, item); // else the room is about to be removed
}

/**
 * Show the lines for a room that the user cannot join.
 *
 * @param {string} room
 * @param {string} why
 */
function showRefusals(room, why) {
  for (const item of outbox.itemsOf(room)) showRefusal(page, Object.assign(item, { why }));
}

/** @param {string} text */
function edit(text) {
  composer.prepend(composer.text ? `${text}\n` : text);
}

/** @param {string} name */
function mention(name) {
  closeDrawers();
  composer.insertName(name);
}

/** @param {string} name */
function whisperTo(name) {
  closeDrawers();
  composer.text = composer.text.replace(/^\/msg\s+\S*\s*/i, ""); // it may have been for another user
  composer.prepend(`/msg ${name} `);
}

function showName() {
  byId("me").textContent = identity.name;
  byId("rename").hidden = identity.isGiven;
  showRoomMembers(rooms.current);
  const { activeElement, body } = document;
  if (activeElement === body || byId("names").contains(activeElement)) composer.focus();
}

/** @param {string} why */
function showNameInUse(why) {
  showStatus(why, { button: "Choose another name", onClick: () => identity.change() });
}

function showTitle() {
  document.title = `${document.hidden && unread ? `(${unread}) ` : ""}${rooms.current.name} – wschat`;
}

chat.on("message", (message) => rooms.find(message.room)?.receive(message));
chat.on("topic", (message) => rooms.find(message.room)?.receive(message));
chat.on("gap", (gap) => rooms.find(gap.room)?.applyGap(gap));
chat.on("joined", (joined) => rooms.addJoined(joined));
chat.on("member", (event) => rooms.find(event.room)?.updateMember(event));
chat.on("typing", ({ room, name }) => typing.begin(room, name));
chat.on("notice", (notice) => rooms.showNotice(notice));
chat.on("whisper", showWhisper);
chat.on("error", handleError);
chat.on("connecting", () => identity.name && showStatus("Connecting …"));
chat.on("welcome", hideStatus);
chat.on("connected", handleConnected);
chat.on("waiting", handleWaiting);
chat.on("closed", handleClosed);
chat.on("outbox", ({ room }) => showUnsent(room));
chat.on("sent", ({ item, reply }) => showReply(page, item, reply));
chat.on("failed", ({ item }) => handleFailed(item));

document.addEventListener("visibilitychange", showTitle);
byId("rename").addEventListener("click", () => identity.change());
byId("leave").addEventListener("click", () => {
  if (outbox.rooms.has(rooms.current.name)) send("/leave"); // after the messages that are not sent yet
  else rooms.leave();
});
byId("newest").addEventListener("click", () => rooms.current.log.toBottom());
byId("rooms").addEventListener("toggle", () => rooms.refresh());
byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  rooms.openAndJoin(byId("join-room", HTMLInputElement).value);
  byId("join", HTMLFormElement).reset();
  composer.focus();
});
byId("logs").addEventListener("click", ({ target }) => {
  if (target instanceof HTMLElement && target.matches(".author")) mention(target.textContent ?? "");
});
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the address is that of a room
  byId("say").focus();
});

rooms.start();
identity.start();
chat.connect();
