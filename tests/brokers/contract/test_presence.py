"""Presence: the members of rooms."""

from __future__ import annotations

from tests.brokers.wiring import last_numbers, say
from wschat.brokers.base import Broker


def test_members_are_counted(broker: Broker) -> None:
    assert broker.members("lobby") == []
    assert [broker.add_member("lobby", member) for member in ("bob", "alice", "bob", "carol")] == [True, True, False, True]
    assert broker.members("lobby") == ["bob", "alice", "carol"]
    assert (broker.count_members("lobby"), broker.count_members("nowhere")) == (3, 0)
    assert broker.add_member("other", "alice")
    assert [broker.remove_member("lobby", "bob"), broker.remove_member("lobby", "alice")] == [False, True]
    assert broker.members("lobby") == ["bob", "carol"]
    assert broker.remove_member("lobby", "bob")
    assert broker.add_member("lobby", "bob")
    assert (broker.members("lobby"), broker.members("other")) == (["carol", "bob"], ["alice"])


def test_members_and_messages_are_independent(broker: Broker) -> None:
    broker.add_member("lobby", "alice")
    assert last_numbers(broker) == {}
    say(broker, "lobby", "x")
    broker.remove_member("lobby", "alice")
    assert (broker.members("lobby"), last_numbers(broker)) == ([], {"lobby": 1})
