// The page: puts the parts together. Each has its own file, and knows the others only by what it is given here.

import { announce } from "./announcer.js";
import { takeAnswer } from "./answers.js";
import { commandsIn } from "./completion.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { closeDrawers } from "./layout.js";
import { Members, Typing } from "./members.js";
import { itemForUnsent, itemForWhisper } from "./message.js";
import { Names } from "./names.js";
import { Outbox, spoken } from "./outbox.js";
import { Rooms } from "./rooms.js";
import { hideStatus, showStatus } from "./status.js";

const ON_EVENT = {
  message: (event) => rooms.find(event.room)?.take(event),
  member: (event) => rooms.find(event.room)?.takeMember(event),
  typing: ({ room, name }) => typing.begin(room, name),
  notice: ({ text }) => rooms.current.say(text),
  error: ({ text }) => rooms.current.say(text, "error"),
  whisper: (event) => {
    rooms.current.show(itemForWhisper(event, false, whisperTo));
    announce(`${event.from} whispers: ${event.text}`);
    if (document.visibilityState === "hidden") whispersUnread += 1;
    showTitle();
  },
};

const ON_STATE = {
  connecting: () => names.name !== null && showStatus("Connecting …"),
  waiting: ({ until, why }) =>
    showStatus(why ? `No connection: ${why}` : "The connection is lost.", { until, button: "Try now", onClick: () => connection.open() }),
  refused: ({ why }) => {
    if (names.refused(connection, why)) hideStatus();
    else showStatus(why, { button: "Try again", onClick: () => connection.open() });
  },
  open: ({ welcome }) => arrive(welcome),
};

let unread = 0;
let whispersUnread = 0;
let commands = [];

const me = () => names;
const whisperTo = (name) => {
  closeDrawers();
  composer.begin(`/msg ${name} `);
};

const names = new Names({ onName: nameChanged, onWait: waitForName });
const connection = new Connection({
  credentials: () => names.credentials(),
  onEvent: (event) => ON_EVENT[event.type]?.(event),
  onState: (state) => {
    if (state.phase !== "open") pause();
    ON_STATE[state.phase](state);
  },
});
const typing = new Typing(connection);
const members = new Members({
  me,
  onWhisper: whisperTo,
  onMention: (name) => {
    closeDrawers();
    composer.insert(name);
  },
});
const composer = new Composer({
  onSend: send,
  onTyping: () => typing.tell(rooms.current.name),
  known: () => ({ commands, names: [...rooms.current.members].filter((name) => name !== names.name), rooms: rooms.names }),
});
const outbox = new Outbox(connection, {
  onChange: showUnsent,
  onDone: (item, answer) => takeAnswer({ rooms, names, whisperTo }, item, answer),
});
const rooms = new Rooms(connection, {
  me,
  onPeople: (room) => room === rooms.current && members.show(room),
  onMessage: messageCame,
  onShow: roomShown,
  onUnread: (count) => {
    unread = count;
    showTitle();
  },
});

/** We have a connection: get our name, our rooms, and go on with what is to be sent. */
async function arrive(welcome) {
  hideStatus();
  try {
    await names.settle(connection, welcome);
    hideStatus();
    await rooms.rejoin();
    outbox.resume();
    commands = commandsIn((await connection.request({ type: "help" })).text);
  } catch (refusal) {
    if (refusal.code !== "lost") showStatus(refusal.message);
  }
}

function pause() {
  outbox.pause();
  rooms.pause();
}

function send(text) {
  typing.rest();
  outbox.add(rooms.current.name, text);
  rooms.current.log.toBottom();
}

function messageCame(room, message) {
  typing.end(room.name, message.from);
  if (message.from === names.name) outbox.saw(message);
  else if (room === rooms.current) announce(`${message.from}: ${message.text}`);
  rooms.changed();
}

function roomShown(room, before) {
  if (before) before.draft = composer.text;
  composer.text = room.draft;
  typing.show(room.name);
  members.show(room);
  showUnsent(room.name);
  showTitle();
  closeDrawers();
}

/** What is on its way to a room is shown below its messages. */
function showUnsent(name) {
  rooms.find(name)?.log.showUnsent(() =>
    outbox.of(name).map((item) =>
      itemForUnsent(item, spoken(item.text) ?? item.text, names, {
        onRetry: () => outbox.retry(item),
        onDiscard: () => outbox.discard(item),
      }),
    ),
  );
}

function nameChanged() {
  byId("me").textContent = names.name;
  byId("rename").hidden = false;
  for (const room of rooms.all) room.log.redraw();
  members.show(rooms.current);
}

function chooseName(choose) {
  names.change((name, password) => (password ? names.want(connection, name, password) : choose(name)));
}

function waitForName(text) {
  showStatus(text, { button: "Another name", onClick: () => chooseName((name) => names.want(connection, name)) });
}

function showTitle() {
  const isHidden = document.visibilityState === "hidden";
  if (!isHidden) whispersUnread = 0;
  const count = unread + whispersUnread;
  document.title = `${isHidden && count ? `(${count}) ` : ""}${rooms.current.name} – wschat`;
}

document.addEventListener("visibilitychange", showTitle);
byId("rename").addEventListener("click", () => chooseName((name) => send(`/nick ${name}`)));
byId("leave").addEventListener("click", () => rooms.leave());
byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  rooms.open(byId("join-room").value.trim());
  byId("join").reset();
});
byId("logs").addEventListener("click", ({ target }) => {
  if (target.matches(".author") && target.textContent !== names.name) composer.insert(target.textContent);
});

rooms.start();
connection.open();
