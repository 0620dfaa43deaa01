"""Presence: the members of rooms."""

from __future__ import annotations

from tests.brokers.wiring import last_numbers, say
from wschat.brokers.base import Broker


def test_members_are_counted(broker: Broker) -> None:
    assert broker.members("lobby") == []
    assert [broker.enter("lobby", member) for member in ("bob", "alice", "bob", "carol")] == [True, True, False, True]
    assert broker.members("lobby") == ["bob", "alice", "carol"]
    assert (broker.count_members("lobby"), broker.count_members("nowhere")) == (3, 0)
    assert broker.enter("other", "alice")
    assert [broker.leave("lobby", "bob"), broker.leave("lobby", "alice")] == [False, True]
    assert broker.members("lobby") == ["bob", "carol"]
    assert broker.leave("lobby", "bob")
    assert broker.enter("lobby", "bob")
    assert (broker.members("lobby"), broker.members("other")) == (["carol", "bob"], ["alice"])


def test_members_and_what_is_said_are_two_things(broker: Broker) -> None:
    broker.enter("lobby", "alice")
    assert last_numbers(broker) == {}
    say(broker, "lobby", "x")
    broker.leave("lobby", "alice")
    assert (broker.members("lobby"), last_numbers(broker)) == ([], {"lobby": 1})
