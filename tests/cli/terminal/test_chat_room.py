"""The state of a room that the screen shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from unittest.mock import patch

import pytest

from wschat.cli.terminal.chat_lines import ChatLines
from wschat.cli.terminal.chat_room import Room
from wschat.events import Joined, MemberEvent, MessageEvent, TopicEvent

NOON = datetime.now().replace(hour=12, minute=0, second=0)


def said(seq: int, days_ago: int = 0, text: str = "") -> MessageEvent:
    return MessageEvent("tea", seq, "bob", text or f"text {seq}", (NOON - timedelta(days_ago)).timestamp())


def joined(*, more: bool = False, members: tuple[str, ...] = ("alice", "bob"), topic: str = "") -> Joined:
    return Joined("tea", "epoch", 9, members, (), more, False, moderators=["bob"], topic={"text": topic} if topic else None)


def shown(room: Room) -> list[str]:
    """Return the texts of the lines; a date is shown as a dash and the number of days ago."""
    return ["".join(text for _, text in line.body) for line in room.transcript.lines]


def day(days_ago: int) -> str:
    then = NOON - timedelta(days_ago)
    return f"\u2500\u2500 {then:%A}, {then.day} {then:%B %Y} \u2500\u2500"


@pytest.fixture
def room() -> Room:
    return Room("tea", ChatLines(lambda: "alice"))


def test_a_joined_room_has_members_topic_and_messages(room: Room) -> None:
    room.enter(joined(more=True, topic="Tea"), [said(1), said(2)])
    assert shown(room) == ["text 1", "text 2"]
    assert (list(room.members), room.moderators, room.topic) == (["alice", "bob"], {"bob"}, "Tea")
    assert room.has_older
    assert room.oldest_seq == 1


def test_after_a_reconnect_each_message_is_shown_once(room: Room) -> None:
    room.enter(joined(), [said(1)])
    room.enter(joined(members=("alice",)), [said(1), said(2)])
    assert shown(room) == ["text 1", "text 2"]
    assert list(room.members) == ["alice"]


def test_a_reconnect_is_reported(room: Room) -> None:
    room.enter(joined(), [said(1)])
    room.leave("you were removed", is_error=True)
    room.enter(joined(), [said(2)])
    assert shown(room) == ["text 1", "you were removed", "you are back in tea", "text 2"]


def test_dates_separate_the_messages_of_different_days(room: Room) -> None:
    room.enter(joined(), [said(1, 2), said(2, 2), said(3, 1), said(4)])
    assert shown(room) == [day(2), "text 1", "text 2", day(1), "text 3", day(0), "text 4"]


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        ([0, 0], [0], [0, "text 1", "text 2", "text 3"]),
        ([1, 0], [0], [1, "text 1", 0, "text 2", "text 3"]),
        ([1, 1], [0], [1, "text 1", "text 2", 0, "text 3"]),
        ([2, 1], [1], [2, "text 1", 1, "text 2", "text 3"]),
        ([2, 2], [1], [2, "text 1", "text 2", 1, "text 3"]),
        ([2, 1], [1, 0], [2, "text 1", 1, "text 2", "text 3", 0, "text 4"]),
    ],
)
def test_older_messages_come_before_the_others(room: Room, older: list[int], newer: list[int], expected: list[str | int]) -> None:
    days = [*older, *newer]
    entries = [said(number, days[number - 1]) for number in range(1, len(days) + 1)]
    room.enter(joined(more=True), entries[2:])
    room.add_older(entries[:2], more=False)
    assert shown(room) == [day(item) if isinstance(item, int) else item for item in expected]
    assert room.oldest_seq == 1
    assert not room.has_older


def test_older_pages_are_inserted_before_the_messages(room: Room) -> None:
    room.enter(joined(more=True), [said(5)])
    room.add_older([said(3), said(4)], more=True)
    room.add_older([said(1, 1), said(2)], more=True)
    assert shown(room) == [day(1), "text 1", day(0), "text 2", "text 3", "text 4", "text 5"]
    room.add_older([], more=False)
    assert not room.has_older


def test_members_come_and_go(room: Room) -> None:
    room.enter(joined(), [])
    for event in (
        MemberEvent("tea", "carol", "join"),
        MemberEvent("tea", "dave", "join", moderator=True),
        MemberEvent("tea", "dave", "leave"),
        MemberEvent("tea", "carol", "rename", "Caroline"),
        MemberEvent("tea", "bob", "kick"),
        MemberEvent("tea", "alice", "op"),
        MemberEvent("tea", "alice", "new\x1b"),
    ):
        room.apply(event)
    assert shown(room) == [
        "carol, dave joined",
        "dave left",
        "carol is now Caroline",
        "bob was removed",
        "alice is now a moderator",
        "alice new\\x1b",
    ]
    assert (list(room.members), room.moderators) == (["alice", "Caroline"], {"alice"})


def test_a_renamed_moderator_stays_a_moderator(room: Room) -> None:
    room.enter(joined(), [])
    room.apply(MemberEvent("tea", "bob", "rename", "Robert"))
    assert (list(room.members), room.moderators) == (["alice", "Robert"], {"Robert"})


def test_a_message_ends_a_line_of_news(room: Room) -> None:
    room.apply(MemberEvent("tea", "carol", "join"))
    room.add(said(1))
    room.apply(MemberEvent("tea", "dave", "join"))
    assert shown(room) == ["carol joined", "text 1", "dave joined"]


def test_unread_messages_are_counted_below_a_line(room: Room) -> None:
    for message in (said(1), said(2, text="alice?")):
        room.count_unread(message)
        room.add(message)
    assert (room.unread, room.is_mentioned) == (2, True)
    room.come_to_front()
    assert (room.unread, room.is_mentioned) == (0, False)
    assert shown(room) == ["\u2500\u2500 new \u2500\u2500", "text 1", "alice?"]
    room.leave_front()
    assert shown(room) == ["text 1", "alice?"]
    room.count_unread(said(3))
    assert not room.is_mentioned
    assert shown(room) == ["text 1", "alice?", "\u2500\u2500 new \u2500\u2500"]


def test_typing_ends_with_the_message_and_with_time(room: Room) -> None:
    with patch("wschat.cli.terminal.chat_room.monotonic", return_value=100.0) as clock:
        room.set_typing("bob")
        room.set_typing("carol")
        assert room.typing == ["bob", "carol"]
        room.add(said(1))
        assert room.typing == ["carol"]
        clock.return_value = 106.0
        assert room.typing == []


def test_a_change_of_the_topic_is_an_entry(room: Room) -> None:
    room.enter(joined(), [TopicEvent("tea", 1, "bob", "Tea", NOON.timestamp())])
    assert shown(room) == ["bob set the topic: Tea"]
    assert room.oldest_seq == 1
