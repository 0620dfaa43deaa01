"""The members of all nodes are the members of a room, as long as their nodes live."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.brokers.redis.conftest import NodeFactory
from tests.brokers.wiring import RecordingSubscriber
from tests.concurrency import eventually
from wschat.brokers.redis import announcer

OTHER_NODE = """
import sys, time
from wschat.brokers.redis import announcer
from wschat.brokers.redis.broker import RedisBroker
announcer.LEASE_SECONDS, announcer._RENEW_INTERVAL = 1, 0.2
broker = RedisBroker(sys.argv[1])
for member in sys.argv[2:]:
    broker.add_member("lobby", member)
time.sleep(60)
"""


@contextmanager
def other_node(url: str, *members: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node in another process, with these members in the lobby."""
    process = subprocess.Popen([sys.executable, "-c", OTHER_NODE, url, *members])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_members_of_other_nodes_are_known_and_announced_once(make_node: NodeFactory) -> None:
    here, there = make_node(), make_node()
    listener = RecordingSubscriber()
    here.subscribe("lobby", listener)
    assert there.add_member("lobby", "alice")
    eventually(lambda: listener.members == ["+alice"])
    assert here.members("lobby") == ["alice"]
    assert not here.add_member("lobby", "alice"), "she was there already"
    assert here.add_member("lobby", "bob")
    assert here.count_members("lobby") == 2
    there.subscribe("lobby", RecordingSubscriber())
    eventually(lambda: sorted(there.members("lobby")) == ["alice", "bob"])
    there.remove_member("lobby", "alice")
    here.remove_member("lobby", "alice")
    eventually(lambda: here.members("lobby") == ["bob"])
    assert here.remove_member("lobby", "bob")


def test_a_node_that_follows_a_room_later_knows_its_members(make_node: NodeFactory) -> None:
    here, there = make_node(), make_node()
    for name in ("alice", "bob", "with spaces", "+-"):
        there.add_member("lobby", name)
    witness, late = make_node(), RecordingSubscriber()
    witness.subscribe("lobby", RecordingSubscriber())
    eventually(lambda: witness.count_members("lobby") == 4)
    here.subscribe("lobby", late)
    assert sorted(here.members("lobby")) == sorted(["alice", "bob", "with spaces", "+-"])
    here.unsubscribe("lobby", late)
    assert here.members("lobby") == [], "a room that is not followed costs nothing"


def test_the_members_of_a_node_that_is_closed_leave(make_node: NodeFactory) -> None:
    here, there = make_node(), make_node()
    listener = RecordingSubscriber()
    here.subscribe("lobby", listener)
    there.add_member("lobby", "alice")
    eventually(lambda: here.members("lobby") == ["alice"])
    there.close()
    eventually(lambda: listener.members == ["+alice", "-alice"])


def test_the_members_of_a_node_that_was_killed_leave(make_node: NodeFactory, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "_RENEW_INTERVAL", 0.2)
    here, listener = make_node(), RecordingSubscriber()
    here.subscribe("lobby", listener)
    with other_node(url, "alice", "bob") as process:
        eventually(lambda: sorted(here.members("lobby")) == ["alice", "bob"])
        process.kill()
        eventually(lambda: here.members("lobby") == [])
    assert sorted(listener.members) == ["+alice", "+bob", "-alice", "-bob"]


def test_the_members_of_a_node_that_was_frozen_come_back(make_node: NodeFactory, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "_RENEW_INTERVAL", 0.2)
    here = make_node()
    here.subscribe("lobby", RecordingSubscriber())
    with other_node(url, "alice") as process:
        eventually(lambda: here.members("lobby") == ["alice"])
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: here.members("lobby") == [])
        process.send_signal(signal.SIGCONT)
        eventually(lambda: here.members("lobby") == ["alice"])
