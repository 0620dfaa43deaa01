"""The title, the status line and the prompt of the chat."""

from __future__ import annotations

from time import monotonic

import pytest

from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.cli.terminal.chat_status import prompt, status, title
from wschat.cli.terminal.rows import Row
from wschat.events import Joined, MessageEvent, TypingEvent, Welcome


def text(row: Row) -> str:
    return "".join(part for _, part in row)


@pytest.fixture
def model() -> ChatModel:
    made = ChatModel("ws://host/", lambda: "alice")
    made.apply(Welcome("wschat", "alice", {}))
    return made


def join(model: ChatModel, room: str, topic: str = "") -> None:
    model.apply(Joined(room, "epoch", 0, ["alice", "bob"], (), False, False, topic={"text": topic}))


def test_without_a_room_the_title_explains_how_to_join_one(model: ChatModel) -> None:
    assert [text(part) for part in title(model)] == [" not in a room  /join ROOM", "ws://host/ "]
    assert [text(part) for part in status(model)] == ["", "\u25cf connected "]


def test_the_title_shows_the_current_room_and_its_topic(model: ChatModel) -> None:
    join(model, "tea", "All about\ntea\x1b")
    assert text(title(model)[0]) == " tea  All about\u23cetea\\x1b  "


def test_rooms_with_unread_messages(model: ChatModel) -> None:
    for room in ("lobby", "tea", "ops"):
        join(model, room)
    for number in range(1200):
        model.apply(MessageEvent("tea", number, "bob", "text", 0.0))
    model.apply(MessageEvent("ops", 1, "bob", "alice?", 0.0))
    model.latency = 0.0123
    rooms, facts = status(model)
    assert text(rooms) == " 1 lobby  2 tea 1,200  3 ops 1! "
    assert ("class:strong", " 1 lobby") in rooms
    assert text(facts) == "2 members \u00b7 \u25cf 12 ms "


def test_the_status_shows_the_connection_and_typing_members(model: ChatModel) -> None:
    join(model, "tea")
    model.wait_for(Waiting("tea", "text"))
    model.apply(TypingEvent("tea", "bob"))
    assert text(status(model)[1]) == "bob is typing\u2026 \u00b7 2 members \u00b7 1 to send \u00b7 \u25cf connected "
    model.apply(TypingEvent("tea", "carol"))
    model.lost("lost", 3)
    assert model.retry_at
    assert model.retry_at > monotonic()
    assert text(status(model)[1]) == "bob, carol are typing\u2026 \u00b7 2 members \u00b7 1 to send \u00b7 \u25cb reconnecting in 3 s "
    for name in ("dave", "eve"):
        model.apply(TypingEvent("tea", name))
    assert text(status(model)[1]).startswith("4 members are typing\u2026")


def test_the_prompt_has_the_name(model: ChatModel) -> None:
    assert text(prompt(model)) == "alice\u203a "
    assert text(prompt(ChatModel("", lambda: None))) == "\u203a "
