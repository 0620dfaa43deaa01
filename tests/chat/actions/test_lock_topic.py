"""The action `lock-topic`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat.actions.examples import Example
from tests.chat.actions.test_topic import set_topic, topic_of
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Guests
from tests.concurrency import TIMEOUT
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.actions.lock_topic import LockTopic

EXAMPLE = Example({"room": "tea"}, LockTopic("tea"), {"locked": False}, LockTopic("tea", locked=False))
COMMANDS = {"/lock-topic": LockTopic("lobby"), "/unlock-topic": LockTopic("lobby", locked=False)}

ACCESS = Access(moderators={"root": "secret"})
ROOT = "/?name=root&password=secret"


@pytest.fixture
def chat(open_chat: ChatFactory) -> Guests:
    return open_chat(MemoryBroker(), access=ACCESS)


def may_set(client: Client, room: str = "tea") -> bool:
    reply = client.ask(type="topic", room=room, text="green")
    assert reply["type"] == "ack" or (reply["code"], reply["text"]) == ("forbidden", f"Only a moderator of {room} may do that.")
    return bool(reply["type"] == "ack")


def test_the_topic_of_a_locked_room_can_be_set_by_moderators_only(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="tea"), chat.v1("bob", "tea")
    bob.join("coffee")
    set_topic(bob, "before")
    for _ in range(2):
        assert root.ask(type="lock-topic", room="tea", id=7) == {"type": "ack", "id": 7}
        assert not may_set(bob)
        assert topic_of(bob) == "before"
    assert may_set(bob, "coffee"), "another room is not locked"
    assert may_set(root)
    root.ask(type="op", room="tea", name="bob")
    assert may_set(bob), "bob is a moderator now"
    for _ in range(2):
        assert root.ask(type="lock-topic", room="tea", locked=False, id=8) == {"type": "ack", "id": 8}
        assert may_set(chat.v1("carol" + str(_), "tea"))


def test_messages_to_a_room_with_a_locked_topic_are_accepted(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="tea"), chat.v1("bob", "tea")
    root.ask(type="lock-topic", room="tea")
    assert bob.say("hi") == 1


@pytest.mark.parametrize("locked", [True, False])
def test_only_a_moderator_may_lock_the_topic(chat: Guests, locked: bool) -> None:
    bob = chat.v1("bob", "tea")
    assert bob.ask(type="lock-topic", room="tea", locked=locked)["code"] == "forbidden"
    assert may_set(bob)


def test_the_lock_survives_a_restart(open_chat: ChatFactory, tmp_path: Path) -> None:
    for is_locked in (True, False, False):
        broker = SqliteBroker(tmp_path / "history.db")
        chat = open_chat(broker, access=ACCESS)
        if is_locked:
            chat.v1(path=ROOT, room="tea").ask(type="lock-topic", room="tea")
        else:
            assert not may_set(chat.v1("bob", "tea"))
        broker.close()
    chat = open_chat(SqliteBroker(tmp_path / "history.db"), access=ACCESS)
    chat.v1(path=ROOT, room="tea").ask(type="lock-topic", room="tea", locked=False)
    assert may_set(chat.v1("bob", "tea"))


def test_the_commands_confirm_the_change(chat: Guests) -> None:
    root = chat.plain("/rooms/tea?name=root&password=secret")
    for line, reply in (
        ("/lock-topic", "Only moderators can set the topic of tea now."),
        ("/unlock-topic", "All members can set the topic of tea now."),
    ):
        root.send(line)
        assert root.recv(TIMEOUT) == reply


def test_the_commands_are_listed_as_commands_for_moderators(chat: Guests) -> None:
    listed = {entry["name"]: entry.get("moderator") for entry in chat.v1().ask(type="commands")["commands"]}
    assert (listed["lock-topic"], listed["unlock-topic"], listed["topic"]) == (True, True, None)
