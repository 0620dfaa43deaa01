"""Rooms in the moments that are hard to hit: something happens while somebody who joins reads the past."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations

import pytest

from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Guests
from tests.connection.wiring import eventually
from wschat.brokers.base import Draft, Message, Outcome
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.errors import HistoryUnavailable

ROOM = "tea"


class Nobody:
    """A publisher who does not care."""

    def on_appended(self, outcomes: list[Outcome]) -> None:
        pass


class Interrupted(MemoryBroker):
    """A broker that takes its time to read: something else happens before the answer is there, or it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._interrupted(super().read_since(room, seq, limit))

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._interrupted(super().read_before(room, seq, limit))

    def _interrupted(self, messages: list[Message]) -> list[Message]:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return messages

    def say(self, count: int) -> None:
        for _ in range(count):
            self.append(Draft(ROOM, "somebody", "x"), Nobody())


@pytest.fixture
def slow() -> Interrupted:
    return Interrupted()


@pytest.fixture
def chat(open_chat: ChatFactory, slow: Interrupted) -> Guests:
    return open_chat(slow, access=Access(moderators={"root": "secret"}))


def check_whole(client: Client, joined: dict[str, object], since: int) -> None:
    """What the answer brought and what came after it fit together."""
    messages = joined["messages"]
    assert isinstance(messages, list)
    seqs = [message["seq"] for message in messages]
    last = client.say("now")
    while not seqs or seqs[-1] < last:
        seqs.append(client.next("message")["seq"])
    assert seqs == list(range(since + 1, last + 1))


@pytest.mark.parametrize("before", [0, 3, 150])
@pytest.mark.parametrize("meanwhile", [1, 5, 1500])
def test_what_is_said_while_the_past_is_read_is_not_missed(chat: Guests, slow: Interrupted, before: int, meanwhile: int) -> None:
    bob = chat.v1("bob")
    slow.say(before)
    slow.meanwhile = lambda: slow.say(meanwhile)
    joined = bob.join(ROOM, since=0)
    if before + meanwhile > 1000:
        assert joined["more"]
        assert [message["seq"] for message in joined["messages"]] == list(range(1, 1001))
        assert joined["last"] == before + meanwhile
        assert bob.say("now") == bob.next("message")["seq"] == before + meanwhile + 1
    else:
        assert (joined["last"], joined["more"]) == (before + meanwhile, False)
        check_whole(bob, joined, since=0)


def test_the_last_hundred_are_the_last_when_the_answer_is_given(chat: Guests, slow: Interrupted) -> None:
    bob = chat.v1("bob")
    slow.say(200)
    slow.meanwhile = lambda: slow.say(30)
    joined = bob.join(ROOM)
    assert [message["seq"] for message in joined["messages"]] == list(range(131, 231))
    check_whole(bob, joined, since=130)


def test_several_who_join_at_once_each_miss_nothing(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice"), chat.v1("bob")
    slow.say(2)

    def another_joins() -> None:
        slow.say(2)
        slow.meanwhile = lambda: slow.say(2)
        check_whole(bob, bob.join(ROOM, since=1), since=1)
        slow.say(2)

    slow.meanwhile = another_joins
    check_whole(alice, alice.join(ROOM, since=0), since=0)


def test_who_is_put_out_while_joining_is_out(chat: Guests, slow: Interrupted) -> None:
    root = chat.v1(path="/?name=root&password=secret", room=ROOM)
    bob = chat.v1("bob")
    slow.meanwhile = lambda: root.ask(type="kick", room=ROOM, name="bob")
    bob.join(ROOM)
    assert root.ask(type="who", room=ROOM)["members"] == ["root"]
    root.say("bob does not hear this")
    assert [event for event in bob.seen() if event["type"] == "message"] == []
    assert bob.ask(type="say", room=ROOM, text="hello?")["code"] == "not-in-room"


def test_a_past_that_cannot_be_read_is_said_and_nobody_is_half_in(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice", ROOM), chat.v1("bob")

    def fail() -> None:
        raise HistoryUnavailable("the disk has gone")

    slow.meanwhile = fail
    error = bob.ask(type="join", room=ROOM)
    assert (error["code"], error["text"]) == ("unavailable", "Sorry, the disk has gone.")
    assert alice.ask(type="who", room=ROOM)["members"] == ["alice"]
    alice.say("bob does not hear this")
    assert bob.seen() == []
    bob.join(ROOM)
    slow.meanwhile = fail
    assert bob.ask(type="join", room=ROOM)["code"] == "unavailable"
    assert bob.say("who was in stays in") == 2


def test_who_is_banned_while_joining_is_out(chat: Guests, slow: Interrupted) -> None:
    root = chat.v1(path="/?name=root&password=secret", room="lobby")
    bob = chat.v1("bob")

    def ban() -> None:
        root.ask(type="ban", room=ROOM, name="bob")
        root.join(ROOM)

    slow.meanwhile = ban
    bob.tell(type="join", room=ROOM, id="join")
    assert bob.next("error")["code"] == "banned"
    assert root.ask(type="who", room=ROOM)["members"] == ["root"]


def test_whoever_comes_while_one_reads_the_past_is_among_the_members_or_announced(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice"), chat.v1("bob")
    slow.meanwhile = lambda: bob.join(ROOM)
    assert alice.join(ROOM)["members"] == ["alice", "bob"]


def test_an_answer_is_no_larger_than_a_client_takes_and_the_rest_can_be_had(chat: Guests, slow: Interrupted) -> None:
    alice = chat.v1("alice", ROOM)
    for number in range(60):
        alice.tell(type="say", room=ROOM, text=f"{number} " + "x" * 30_000)
    alice.say("the last")
    bob = chat.v1("bob")
    slow.meanwhile = lambda: slow.say(3)
    assert [message["seq"] for message in bob.catch_up(ROOM, since=0)] == list(range(1, 65))
    history = bob.ask(type="history", room=ROOM)
    assert history["more"]
    carol = chat.v1("carol")
    joined = carol.join(ROOM)
    assert joined["more"]
    assert joined["messages"][-1]["seq"] == 64
    assert len(json.dumps(joined)) < 300_000


class Cursed(MemoryBroker):
    """A broker in which something is wrong with one room, once it is said so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cursed = False

    def add_member(self, room: str, member: str) -> bool:
        self._check(room)
        return super().add_member(room, member)

    def remove_member(self, room: str, member: str) -> bool:
        self._check(room)
        return super().remove_member(room, member)

    def _check(self, room: str) -> None:
        if self.is_cursed and room == "cursed":
            raise RuntimeError("this room is cursed")


@pytest.mark.parametrize("rooms", list(permutations(["cursed", "coffee", ROOM])))
def test_what_goes_wrong_in_one_room_keeps_nobody_in_another(open_chat: ChatFactory, rooms: tuple[str, ...]) -> None:
    broker = Cursed()
    guests = open_chat(broker)
    watcher = guests.v1("watcher")
    alice = guests.v1("alice")
    for room in rooms:
        alice.join(room)
    watcher.join("coffee")
    watcher.join(ROOM)
    broker.is_cursed = True
    alice.ws.close()
    left = [watcher.next(lambda event: event.get("event") == "leave")["room"] for _ in range(2)]
    assert sorted(left) == ["coffee", ROOM]
    eventually(lambda: watcher.ask(type="nick", name="alice")["type"] == "ack")  # the name is free
    listed = {room["room"]: room["members"] for room in watcher.ask(type="rooms")["rooms"]}
    assert listed == {"coffee": 1, ROOM: 1}


def test_who_could_not_come_in_is_not_half_in(open_chat: ChatFactory) -> None:
    broker = Cursed()
    guests = open_chat(broker)
    watcher = guests.v1("watcher")
    alice = guests.v1("alice", ROOM)
    watcher.join(ROOM)
    broker.is_cursed = True
    alice.tell(type="join", room="cursed")
    assert watcher.next(lambda event: event.get("event") == "leave")["name"] == "alice"  # the error ended the connection
    eventually(lambda: watcher.ask(type="nick", name="alice")["type"] == "ack")
    broker.is_cursed = False
    assert watcher.join("cursed")["members"] == ["alice"]


def test_a_name_that_one_room_does_not_learn_is_told_in_the_others(open_chat: ChatFactory) -> None:
    broker = Cursed()
    guests = open_chat(broker)
    watcher = guests.v1("watcher", ROOM)
    alice = guests.v1("alice")
    for room in (ROOM, "cursed", "coffee"):
        alice.join(room)
    broker.is_cursed = True
    alice.tell(type="nick", name="bob")
    assert watcher.next(lambda event: event.get("event") == "rename")["new_name"] == "bob"
    assert watcher.next(lambda event: event.get("event") == "leave")["name"] == "bob"
