"""A room of which nothing is kept any more is forgotten, unless it is in use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brokers.redis.conftest import NodeFactory
from tests.brokers.wiring import RecordingSubscriber, last_numbers, log_of, numbers, say, set_topic
from tests.concurrency import eventually
from tests.redis_server import RedisServer
from wschat.brokers.base import Retention
from wschat.brokers.redis import maintenance


def make_old(server: RedisServer, url: str, *rooms: str) -> None:
    """Make the last message of rooms a year old."""
    prefix = url.partition("?prefix=")[2]
    for room in rooms:
        key = f"{prefix}{{room:{room}}}:room"
        time: Any = server.client.hget(key, "time")
        server.client.hset(key, "time", f"{float(time) - 365 * 86_400:.6f}")


def test_a_quiet_room_is_forgotten_and_its_numbers_are_not_given_again(
    make_node: NodeFactory, redis_server: RedisServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_node()
    for room in ("busy", "followed", "gone", "inhabited"):
        say(other, room, "one", "two")
    set_topic(other, "gone", "a topic")
    other.add_member("inhabited", "alice")
    other.subscribe("inhabited", RecordingSubscriber())
    make_old(redis_server, url, "followed", "gone", "inhabited")
    monkeypatch.setattr(maintenance, "INTERVAL", 0.3)
    node = make_node(Retention(days=10))
    node.subscribe("followed", RecordingSubscriber())  # before the first round
    eventually(lambda: not node.has_room("gone"))
    eventually(lambda: list(last_numbers(node)) == ["busy", "followed", "inhabited"])
    assert log_of(node, "gone") == []
    assert node.topic("gone") is None
    assert node.last_seq("gone") == 3
    assert say(node, "gone", "again") == [4]
    assert say(node, "new", "x") == [4]
    assert numbers(log_of(node, "gone")) == [4]
    assert say(other, "inhabited", "three") == [3]
