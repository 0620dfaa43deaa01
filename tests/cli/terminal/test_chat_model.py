"""The state that the chat shows."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.events import (
    Ack,
    CommandList,
    Dropped,
    Error,
    Gap,
    Joined,
    MemberEvent,
    Members,
    MessageEvent,
    Notice,
    OtherEvent,
    RoomList,
    TopicEvent,
    TypingEvent,
    Welcome,
    WhisperEvent,
)


def joined(room: str, *texts: str, members: Sequence[str] = ("alice", "bob")) -> Joined:
    messages = [message(room, text, seq).fields() for seq, text in enumerate(texts, 1)]
    return Joined(room, "epoch", len(texts), members, messages, False, False)


def message(room: str, text: str, seq: int = 1) -> MessageEvent:
    return MessageEvent(room, seq, "bob", text, time.time())


def shown(model: ChatModel) -> list[str]:
    return ["".join(text for _, text in line.body) for line in (*model.transcript.lines, *model.transcript.footer)]


@pytest.fixture
def model() -> ChatModel:
    made = ChatModel("ws://host/", lambda: "alice")
    made.apply(Welcome("wschat", "alice", {}))
    return made


@pytest.fixture
def rooms(model: ChatModel) -> ChatModel:
    for name in ("lobby", "tea", "ops"):
        model.apply(joined(name))
    return model


def test_the_first_room_is_shown(model: ChatModel) -> None:
    model.tell("no room yet")
    assert shown(model) == ["no room yet"]
    model.apply(joined("lobby", "one", "two"))
    model.apply(joined("tea"))
    assert shown(model) == ["one", "two"]
    assert list(model.rooms) == ["lobby", "tea"]


def test_messages_of_other_rooms_are_unread(rooms: ChatModel) -> None:
    rooms.apply(message("lobby", "seen"))
    rooms.apply(message("tea", "unseen"))
    rooms.apply(message("ops", "alice!"))
    rooms.apply(message("not joined", "lost"))
    assert [(room.unread, room.is_mentioned) for room in rooms.rooms.values()] == [(0, False), (1, False), (1, True)]
    assert rooms.next_unread() is rooms.rooms["ops"]
    rooms.go_to(rooms.next_unread())
    assert shown(rooms) == ["\u2500\u2500 new \u2500\u2500", "alice!"]
    assert rooms.next_unread() is rooms.rooms["tea"]


def test_switching_between_rooms(rooms: ChatModel) -> None:
    assert [rooms.neighbour(step) for step in (1, -1)] == [rooms.rooms["tea"], rooms.rooms["ops"]]
    assert ChatModel("", lambda: None).neighbour(1) is None


def test_a_room_comes_to_the_front_once_it_is_joined(rooms: ChatModel) -> None:
    rooms.go_to_joined("new")
    assert rooms.current is rooms.rooms["lobby"]
    rooms.apply(joined("other"))
    rooms.apply(joined("new"))
    assert rooms.current is rooms.rooms["new"]
    rooms.go_to_joined("tea")
    assert rooms.current is rooms.rooms["tea"]


def test_leaving_rooms(rooms: ChatModel) -> None:
    rooms.forget(rooms.rooms["lobby"])
    assert rooms.current is rooms.rooms["tea"]
    rooms.forget(rooms.rooms["ops"])
    rooms.forget(rooms.rooms["tea"])
    assert rooms.current is None


def test_texts_are_shown_as_waiting_until_the_server_acknowledges_them(rooms: ChatModel) -> None:
    first, second, other = Waiting("lobby", "first"), Waiting("lobby", "second"), Waiting("tea", "other")
    for waiting in (first, second, other):
        rooms.wait_for(waiting)
    assert shown(rooms) == ["first \u2026", "second \u2026"]
    assert rooms.waiting == [first, second, other]
    rooms.said(first)
    assert shown(rooms) == ["second \u2026"]
    rooms.said(second, "you are muted")
    assert shown(rooms) == ["not said: second (you are muted)"]
    rooms.go_to(rooms.rooms["tea"])
    assert shown(rooms) == ["other \u2026"]
    rooms.forget(rooms.rooms["tea"])
    rooms.said(other, "gone")
    assert shown(rooms) == ["not said: other (gone)"]


def test_a_lost_connection_is_reported_once(rooms: ChatModel) -> None:
    rooms.lost("1006 connection lost", 3)
    rooms.lost("connection refused", 6)
    assert len(shown(rooms)) == 1
    assert "1006 connection lost" in shown(rooms)[0]
    assert not rooms.is_connected
    rooms.apply(Welcome("wschat", "alice", {}))
    assert rooms.is_connected
    assert shown(rooms)[1:] == ["connected again"]


def test_members_and_their_topic(rooms: ChatModel) -> None:
    rooms.apply(MemberEvent("lobby", "carol", "join"))
    rooms.apply(MemberEvent("lobby", "alice", "join"))
    rooms.apply(MemberEvent("nowhere", "carol", "join"))
    rooms.apply(TopicEvent("lobby", 3, "carol", "News", time.time()))
    rooms.apply(TypingEvent("lobby", "carol"))
    rooms.apply(TypingEvent("lobby", "alice"))
    assert shown(rooms) == ["carol joined", "carol set the topic: News"]
    assert rooms.current
    assert (rooms.current.topic, rooms.current.typing) == ("News", ["carol"])


@pytest.mark.parametrize(("event", "text"), [("kick", "you were removed"), ("ban", "you were banned")])
def test_a_removed_user_gets_a_notice(rooms: ChatModel, event: str, text: str) -> None:
    rooms.apply(MemberEvent("tea", "alice", event))
    rooms.apply(Notice("bob removed you from tea.", room="tea", event=event))
    tea = rooms.rooms["tea"]
    assert not tea.is_joined
    rooms.go_to(tea)
    assert shown(rooms) == [text, "bob removed you from tea."]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (WhisperEvent("bob", "alice", "psst\x1b", 0.0), "bob \u2192 alice: psst\\x1b"),
        (Notice("Welcome!\x1b"), "Welcome!\\x1b"),
        (Error("banned", "You are banned."), "You are banned."),
        (Gap("lobby", 7), "messages are missing here: the server does not keep them"),
        (Dropped(3), "3 events were lost, because they came too fast"),
        (Members("lobby", ["alice", "bob"], 2), "2 in lobby: alice, bob, 2 without a name"),
        (RoomList([{"room": "lobby", "members": 2}, {"room": "tea", "members": 1}]), "rooms: lobby (2), tea (1)"),
    ],
)
def test_other_events(rooms: ChatModel, event: Error, text: str) -> None:
    rooms.apply(event)
    assert shown(rooms) == [text]


def test_unknown_events_are_ignored(rooms: ChatModel) -> None:
    rooms.apply(OtherEvent({"type": "reaction", "room": "lobby", "seq": 3}))
    rooms.apply(Gap("nowhere", 1))
    assert shown(rooms) == []


def test_replies(rooms: ChatModel) -> None:
    rooms.reply(Ack("id"))
    rooms.reply(TopicEvent("lobby", 1, "bob", "News", 0.0))
    rooms.reply(TopicEvent("lobby"))
    rooms.whispered("bob", "psst", 0.0)
    assert shown(rooms) == ["the topic of lobby, set by bob: News", "lobby has no topic", "alice \u2192 bob: psst"]


def test_commands_and_rooms_are_remembered_for_completion(rooms: ChatModel) -> None:
    rooms.apply(
        CommandList([{"name": "who", "usage": "/who", "help": "list"}, {"name": "ban", "usage": "/ban", "moderator": True}, {"name": 3}])
    )
    assert rooms.commands == {"who": ("/who", "list"), "3": ("", "")}
    rooms.apply(MemberEvent("lobby", "alice", "op"))
    assert rooms.commands == {"who": ("/who", "list"), "ban": ("/ban", ""), "3": ("", "")}
    rooms.transcript.clear()
    rooms.set_known_rooms(["lobby"])
    assert rooms.known_rooms == ["lobby"]
    rooms.show_help(list(rooms.commands.values()))
    assert rooms.transcript.lines[0].text() == "  /who  list"
