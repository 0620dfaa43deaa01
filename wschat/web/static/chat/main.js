// The page: creates its parts and connects them by their hooks.

import { announce, announceMessage } from "./announcer.js";
import { setPresent } from "./colours.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Identity } from "./identity.js";
import { closeDrawers } from "./layout.js";
import { showMembers } from "./members.js";
import { itemForUnsent, itemForWhisper, sentenceOf } from "./message.js";
import { Outbox, messageText } from "./outbox.js";
import { asRefusal } from "./refusal.js";
import { showRefusal, showReply } from "./replies.js";
import { Rooms } from "./rooms.js";
import { hideStatus, showStatus } from "./status.js";
import { showTopic } from "./topic.js";
import { Typing } from "./typing.js";

/** @typedef {import("./room.js").Room} Room */
/** @typedef {import("./connection.js").State} State */

let unread = 0;
/** @type {V1.Command[]} */
let commands = [];

const drafts = new Drafts();
const connection = new Connection({
  credentials: () => identity.credentials(),
  onEvent: handleEvent,
  onState: (state) => {
    outbox.pause();
    rooms.pause();
    handleState(state);
  },
});
const identity = new Identity(connection, { onName: showName, onWait: showNameInUse });
const typing = new Typing((room) => connection.request({ type: "typing", room }).catch(() => {})); // it is not important
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
const outbox = new Outbox(connection, {
  me: () => identity,
  canSend: (room) => !rooms.find(room)?.isJoining,
  head: (room) => rooms.find(room)?.head ?? 0,
  onChange: showUnsent,
  onFail: (item) => showRefusal(page, item),
  onDone: (item, reply) => showReply(page, item, reply),
});
const rooms = new Rooms(connection, {
  me: () => identity,
  onMembers: (room) => room === rooms.current && showRoomMembers(room),
  onTopic: (room) => room === rooms.current && showTopic(room),
  onMessage: handleMessage,
  onPastMessage: (message) => outbox.matchMessage(message),
  onRefused: (name, why) => outbox.failRoom(name, why),
  onJoinReply: () => outbox.resume(),
  onShow: showRoom,
  onUnread: (count) => {
    unread = count;
    showTitle();
  },
});
const page = { identity, outbox, rooms, edit, whisperTo };

/** @param {V1.Event} event an event that is no reply */
function handleEvent(event) {
  if (event.type === "message" || event.type === "topic") rooms.find(event.room)?.receive(event);
  else if (event.type === "member") rooms.find(event.room)?.updateMember(event);
  else if (event.type === "typing") typing.begin(event.room, event.name);
  else if (event.type === "notice") rooms.showNotice(event);
  else if (event.type === "whisper") showWhisper(event);
  // The error "replaced" is followed by a close code, which has a status of its own.
  else if (event.type === "error" && event.code !== "replaced") rooms.current.showNotice(event.text, "error");
}

/** @param {State} state */
function handleState(state) {
  if (state.phase === "open") signIn(state);
  else if (state.phase === "connecting") {
    if (identity.name) showStatus("Connecting …");
  } else if (state.phase === "waiting") {
    const text = state.why ? `No connection: ${state.why}` : "Connection lost.";
    showStatus(text, { next: state.until, button: "Try now", onClick: reconnect });
  } else if (state.phase === "refused") {
    if (identity.handleRefused(state)) hideStatus();
    else showStatus(state.why, { button: "Try again", onClick: reconnect });
  } else {
    identity.handleReplaced();
    const text = `You are now ${identity.name} in another tab or on another device.`;
    showStatus(text, { button: "Use it here", onClick: () => identity.takeOver() });
  }
}

/**
 * Get a name after connecting, join the rooms, and send what is in the outbox.
 *
 * @param {import("./connection.js").OpenState} state
 */
async function signIn({ welcome, signal }) {
  hideStatus();
  try {
    await identity.signIn(welcome, signal);
    hideStatus();
    rooms.rejoin(outbox.rooms);
    outbox.resume();
    await loadCommands();
  } catch (error) {
    const refusal = asRefusal(error);
    if (refusal.code !== "lost") showStatus(refusal.message);
  }
}

/** Load the commands that can be completed. Without the list they can still be typed. */
async function loadCommands() {
  try {
    ({ commands } = await connection.request({ type: "commands" }));
  } catch (error) {
    asRefusal(error);
  }
}

function reconnect() {
  connection.open();
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
  outbox.matchMessage(message);
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
connection.open();
