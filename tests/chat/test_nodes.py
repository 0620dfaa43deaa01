"""Two nodes of one chat, over Redis: what a client of one does, the clients of the other see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.test_moderating import notice
from tests.chat.wiring import Client, Guests
from tests.concurrency import eventually
from tests.redis_server import RedisServer
from wschat.brokers.redis.broker import RedisBroker
from wschat.chat.access import Access

ROOT = "/?name=root&password=secret"
Nodes = tuple[Guests, Guests]


@pytest.fixture
def nodes(open_chat: ChatFactory, redis_server: RedisServer, tmp_path: Path) -> Nodes:
    def node() -> Guests:
        return open_chat(RedisBroker(f"{redis_server.url}?prefix={tmp_path}:"), access=Access(moderators={"root": "secret"}))

    return node(), node()


def joined(node: Guests, name: str, room: str = "tea") -> Client:
    return node.v1(name, room)


def member_event(event: dict[str, Any], kind: str, name: str) -> bool:
    return event["type"] == "member" and (event["event"], event["name"]) == (kind, name)


def test_messages_reach_the_clients_of_both_nodes(nodes: Nodes) -> None:
    alice, bob = joined(nodes[0], "alice"), joined(nodes[1], "bob")
    assert [alice.say("one", "tea"), bob.say("two", "tea"), alice.say("three", "tea")] == [1, 2, 3]
    for client in (alice, bob):
        assert [client.next("message")["text"] for _ in range(3)] == ["one", "two", "three"]


def test_members_of_both_nodes_are_listed_and_announced(nodes: Nodes) -> None:
    alice = joined(nodes[0], "alice")
    bob = joined(nodes[1], "bob")
    alice.next(lambda event: member_event(event, "join", "bob"))
    eventually(lambda: sorted(bob.ask(type="who", room="tea")["members"]) == ["alice", "bob"])
    bob.ask(type="leave", room="tea")
    alice.next(lambda event: member_event(event, "leave", "bob"))
    assert alice.ask(type="who", room="tea")["members"] == ["alice"]


def test_a_client_resumes_on_the_other_node(nodes: Nodes) -> None:
    alice = joined(nodes[0], "alice")
    epoch = nodes[0].v1("carol", "tea").join("tea")["epoch"]
    for text in ("one", "two", "three"):
        alice.say(text, "tea")
    resumed = nodes[1].v1("dora").ask(type="join", room="tea", since=1, epoch=epoch)
    assert ([message["text"] for message in resumed["messages"]], resumed["gap"]) == (["two", "three"], False)


def test_a_ban_holds_on_the_other_node_at_once(nodes: Nodes) -> None:
    root, bob = nodes[0].v1(path=ROOT, room="tea"), joined(nodes[1], "bob")
    root.ask(type="ban", room="tea", name="bob")
    assert notice(bob) == "root banned you from tea."
    assert bob.ask(type="join", room="tea")["code"] == "banned"
    root.next(lambda event: member_event(event, "leave", "bob"))
    root.ask(type="unban", room="tea", name="bob")
    eventually(lambda: bob.ask(type="join", room="tea")["type"] == "joined")


def test_a_mute_holds_on_the_other_node(nodes: Nodes) -> None:
    root, bob = nodes[0].v1(path=ROOT, room="tea"), joined(nodes[1], "bob")
    root.ask(type="mute", room="tea", name="bob")
    eventually(lambda: bob.ask(type="say", room="tea", text="x").get("code") == "muted")


def test_a_member_on_the_other_node_can_be_kicked(nodes: Nodes) -> None:
    root, bob = nodes[0].v1(path=ROOT, room="tea"), joined(nodes[1], "bob")
    root.next(lambda event: member_event(event, "join", "bob"))
    assert root.ask(type="kick", room="tea", name="Bob")["type"] == "ack"
    assert notice(bob) == "root removed you from tea."
    root.next(lambda event: member_event(event, "leave", "bob"))
    assert root.ask(type="kick", room="tea", name="bob")["code"] == "no-such-person"


def test_a_whisper_reaches_a_member_on_the_other_node(nodes: Nodes) -> None:
    alice, bob = joined(nodes[0], "alice"), joined(nodes[1], "bob")
    alice.next(lambda event: member_event(event, "join", "bob"))
    alice.ask(type="whisper", to="Bob", text="psst")
    whisper = bob.next("whisper")
    assert (whisper["from"], whisper["to"], whisper["text"]) == ("alice", "bob", "psst")
    assert alice.ask(type="whisper", to="nobody", text="psst")["code"] == "no-such-person"


def test_after_a_loss_clients_come_back_and_are_told_of_the_gap(own_redis: RedisServer, open_chat: ChatFactory) -> None:
    node = open_chat(RedisBroker(own_redis.url))
    alice = joined(node, "alice")
    epoch = alice.join("tea")["epoch"]
    alice.say("one", "tea")
    own_redis.client.flushall()
    alice.tell(type="say", room="tea", text="two", id=2)
    with pytest.raises(wschat.ConnectionClosed, match="1012"):
        alice.next("never")
    again = node.v1("carol").ask(type="join", room="tea", since=1, epoch=epoch)
    assert again["gap"]
    assert again["epoch"] != epoch
