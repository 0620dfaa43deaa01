// The page: puts the parts together. Each has its own file, and knows the others only by what it is given here.

import { announce, announceMessage } from "./announcer.js";
import { takeAnswer, takeRefusal } from "./answers.js";
import { commandsIn } from "./completion.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { meet } from "./colours.js";
import { byId } from "./dom.js";
import { Drafts } from "./drafts.js";
import { closeDrawers } from "./layout.js";
import { showMembers } from "./members.js";
import { itemForUnsent, itemForWhisper, lineOf } from "./message.js";
import { Names } from "./names.js";
import { Outbox, spoken } from "./outbox.js";
import { Rooms } from "./rooms.js";
import { hideStatus, showStatus } from "./status.js";
import { Typing } from "./typing.js";

const ON_EVENT = {
  message: (event) => rooms.find(event.room)?.take(event),
  member: (event) => rooms.find(event.room)?.takeMember(event),
  typing: ({ room, name }) => typing.begin(room, name),
  notice: ({ text }) => rooms.notice(text),
  error: ({ code, text }) => code !== "replaced" && rooms.current.say(text, "error"), // which closes the connection and is said then
  whisper: (event) => {
    rooms.current.whispers += 1;
    rooms.current.show(itemForWhisper(event, false, whisperTo));
    announce(`${event.from} whispers: ${event.text}`);
  },
};

const ON_STATE = {
  open: arrive,
  connecting: () => names.name && showStatus("Connecting …"),
  waiting: ({ until, why }) =>
    showStatus(why ? `No connection: ${why}` : "The connection is lost.", { next: until, button: "Try now", onClick: reconnect }),
  refused: (refusal) => {
    if (names.refused(refusal)) hideStatus();
    else showStatus(refusal.why, { button: "Try again", onClick: reconnect });
  },
  replaced: () => {
    names.replaced();
    const why = `You are ${names.name} in another tab or on another device now.`;
    showStatus(why, { button: "Use it here", onClick: () => names.takeBack() });
  },
};

let unread = 0;
let commands = [];

const drafts = new Drafts();

const names = new Names({ onName: nameChanged, onWait: waitForName });
const connection = new Connection({
  credentials: () => names.credentials(),
  onEvent: (event) => ON_EVENT[event.type]?.(event),
  onState: (state) => {
    outbox.pause();
    rooms.pause();
    ON_STATE[state.phase](state);
  },
});
const typing = new Typing((room) => connection.request({ type: "typing", room }).catch(() => {})); // which nobody misses
const composer = new Composer({
  onSend: send,
  onChange: (text) => drafts.keep(rooms.current.name, text),
  onTyping: () => typing.typed(),
  known: () => ({ commands, names: [...rooms.current.members].filter((name) => name !== names.name), rooms: rooms.names }),
});
const outbox = new Outbox(connection, {
  me: () => names,
  mayGo: (room) => !rooms.find(room)?.isJoining,
  head: (room) => rooms.find(room)?.head ?? 0,
  onChange: showUnsent,
  onFail: (item) => takeRefusal(page, item),
  onDone: (item, answer) => takeAnswer(page, item, answer),
});
const rooms = new Rooms(connection, {
  me: () => names,
  onPeople: (room) => room === rooms.current && showPeople(room),
  onMessage: messageCame,
  onPast: (message) => outbox.saw(message),
  onGone: (name, why) => outbox.refuse(name, why),
  onAnswer: () => outbox.resume(),
  onShow: roomShown,
  onUnread: (count) => {
    unread = count;
    showTitle();
  },
});

const page = { names, outbox, rooms, edit, whisperTo }; // what answers are shown in

/** We have a connection: get our name, our rooms, and go on with what is to be sent. */
async function arrive({ welcome, signal }) {
  hideStatus();
  try {
    await names.settle(welcome, signal);
    hideStatus();
    rooms.rejoin(outbox.rooms);
    outbox.resume();
    commands = commandsIn((await connection.request({ type: "help" })).text);
  } catch (refusal) {
    if (refusal.code !== "lost") showStatus(refusal.message);
  }
}

function reconnect() {
  connection.open();
}

function send(text) {
  outbox.add(rooms.current.name, text);
  rooms.current.log.toBottom();
}

function messageCame(room, message) {
  typing.end(room.name, message.from);
  outbox.saw(message);
  if (message.from === names.name) typing.said();
  else if (room === rooms.current) announceMessage(lineOf(message).textContent);
}

function roomShown(room, before) {
  composer.text = drafts.of(room.name);
  typing.show(room.name);
  showPeople(room);
  showUnsent(room.name);
  closeDrawers();
  if (before) composer.focus();
}

function showPeople(room) {
  meet(room.members);
  showMembers(room, names, { onMention: mention, onWhisper: whisperTo });
}

/** What is on its way to a room is shown below its messages. */
function showUnsent(name) {
  rooms.find(name)?.log.showUnsent(() =>
    outbox.of(name).map((item, place) => {
      const editThis = () => {
        outbox.discard(item);
        edit(item.text);
      };
      const first = item.mayRetry ? ["Try again", () => outbox.retry(item)] : ["Edit", editThis];
      const actions = [first, ["Discard", () => outbox.discard(item)]];
      const isFirst = place === 0;
      const key = [item.id, item.state, item.why, isFirst, names.name].join();
      return [key, () => itemForUnsent({ ...item, text: spoken(item.text) }, !isFirst, names, actions)];
    }),
  );
}

function edit(text) {
  composer.begin(composer.text ? `${text}\n` : text);
}

function mention(name) {
  closeDrawers();
  composer.insert(name);
}

function whisperTo(name) {
  closeDrawers();
  composer.text = composer.text.replace(/^\/msg\s+\S*\s*/i, ""); // to somebody else, perhaps
  composer.begin(`/msg ${name} `);
}

function nameChanged() {
  byId("me").textContent = names.name;
  byId("rename").hidden = names.isGiven;
  showPeople(rooms.current);
  const { activeElement, body } = document;
  if (activeElement === body || byId("names").contains(activeElement)) composer.focus();
}

function waitForName(why) {
  showStatus(why, { button: "Another name", onClick: () => names.change() });
}

function showTitle() {
  document.title = `${document.hidden && unread ? `(${unread}) ` : ""}${rooms.current.name} – wschat`;
}

document.addEventListener("visibilitychange", showTitle);
byId("rename").addEventListener("click", () => names.change());
byId("leave").addEventListener("click", () => {
  if (outbox.rooms.has(rooms.current.name)) send("/leave"); // after what was said before
  else rooms.leave();
});
byId("newest").addEventListener("click", () => rooms.current.log.toBottom());
byId("rooms").addEventListener("toggle", () => rooms.refresh());
byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  rooms.enter(byId("join-room").value);
  byId("join").reset();
  composer.focus();
});
byId("logs").addEventListener("click", ({ target }) => target.matches(".author") && mention(target.textContent));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is for rooms
  byId("say").focus();
});

rooms.start();
names.start(connection);
connection.open();
