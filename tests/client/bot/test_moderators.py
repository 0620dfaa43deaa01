"""The moderators of a room according to its events."""

from __future__ import annotations

import pytest

from wschat.client.bot.moderators import Moderators
from wschat.events import Joined, MemberEvent


def joined(*moderators: str) -> Joined:
    return Joined("tea", "epoch", 0, ["alice", "bob", "carol"], [], False, False, moderators=moderators or None)


def test_a_joined_event_names_the_moderators() -> None:
    moderators = Moderators()
    moderators.on_joined(joined("alice"))
    assert moderators.contains("tea", "alice")
    assert not moderators.contains("tea", "bob")
    assert not moderators.contains("coffee", "alice")
    moderators.on_joined(joined())
    assert not moderators.contains("tea", "alice")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (MemberEvent("tea", "bob", "op"), {"alice", "bob"}),
        (MemberEvent("tea", "dave", "join", moderator=True), {"alice", "dave"}),
        (MemberEvent("tea", "dave", "join"), {"alice"}),
        (MemberEvent("tea", "alice", "leave"), set()),
        (MemberEvent("tea", "alice", "kick"), set()),
        (MemberEvent("tea", "alice", "ban"), set()),
        (MemberEvent("tea", "alice", "mute"), set()),
        (MemberEvent("tea", "alice", "unmute"), {"alice"}),
        (MemberEvent("tea", "bob", "leave"), {"alice"}),
        (MemberEvent("tea", "alice", "rename", "eve"), {"eve"}),
        (MemberEvent("tea", "bob", "rename", "eve"), {"alice"}),
        (MemberEvent("coffee", "alice", "leave"), {"alice"}),
    ],
)
def test_member_events_change_the_moderators(event: MemberEvent, expected: set[str]) -> None:
    moderators = Moderators()
    moderators.on_joined(joined("alice"))
    moderators.on_member(event)
    assert {name for name in ("alice", "bob", "carol", "dave", "eve") if moderators.contains("tea", name)} == expected


def test_after_dropped_events_none_is_known_until_the_room_is_joined_again() -> None:
    moderators = Moderators()
    moderators.on_joined(joined("alice"))
    moderators.forget()
    moderators.on_member(MemberEvent("tea", "bob", "op"))
    assert not moderators.contains("tea", "alice")
    assert not moderators.contains("tea", "bob")
    moderators.on_joined(joined("alice"))
    assert moderators.contains("tea", "alice")
