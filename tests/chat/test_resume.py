"""Joining and coming back: what was said before and what is said from then on fit together, with no hole and nothing twice."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Event, Guests
from wschat.brokers.base import Broker, Message, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.chat.tokens import mint

ROOM = "tea"
SECRET = b"a secret that is long enough for HS256"


def seqs(events: list[Event]) -> list[int]:
    return [event["seq"] for event in events if event.get("type", "message") == "message"]


def fill(client: Client, count: int) -> None:
    """Say so many messages, and wait until all have their numbers."""
    for _ in range(count - 1):
        client.tell(type="say", room=ROOM, text="x")
    client.say("x", ROOM)


def test_the_last_hundred_come_without_being_asked_for(guests: Guests) -> None:
    alice = guests.v1("alice", ROOM)
    fill(alice, 100)
    assert seqs(guests.v1("bob").join()["messages"]) == list(range(1, 101))
    alice.say("one more")
    joined = guests.v1("carol").join()
    assert (seqs(joined["messages"]), joined["last"], joined["more"], joined["gap"]) == (list(range(2, 102)), 101, True, False)


def test_who_comes_back_gets_what_was_missed_and_then_what_is_new(guests: Guests) -> None:
    alice, bob = guests.v1("alice", ROOM), guests.v1("bob")
    epoch = bob.join()["epoch"]
    fill(alice, 5)
    bob.ws.close()
    fill(alice, 5)
    again = guests.v1("bobby")
    joined = again.join(since=5, epoch=epoch)
    assert (seqs(joined["messages"]), joined["last"], joined["more"], joined["gap"]) == ([6, 7, 8, 9, 10], 10, False, False)
    alice.say("new")
    assert again.next("message")["seq"] == 11
    nothing_missed = guests.v1("carol").join(since=11)
    assert (nothing_missed["messages"], nothing_missed["gap"]) == ([], False)


def test_a_thousand_at_a_time_and_the_rest_from_the_history(guests: Guests) -> None:
    alice = guests.v1("alice", ROOM)
    fill(alice, 2500)
    bob = guests.v1("bob")
    joined = bob.join(since=100)
    assert (seqs(joined["messages"]), joined["last"], joined["more"]) == (list(range(101, 1101)), 2500, True)
    alice.say("meanwhile")
    assert bob.next("message")["seq"] == 2501
    assert seqs(guests.v1("carol").catch_up(ROOM, since=100)) == list(range(101, 2502))


@pytest.mark.parametrize("since", [0, 5, 89])
def test_what_is_no_longer_kept_is_a_gap(open_chat: ChatFactory, tmp_path: Path, since: int) -> None:
    guests = open_chat(SqliteBroker(tmp_path / "history", Retention(messages=10)))
    fill(guests.v1("alice", ROOM), 100)
    joined = guests.v1("bob").join(since=since)
    assert (seqs(joined["messages"]), joined["gap"]) == (list(range(91, 101)), True)
    assert guests.v1("carol").join(since=90)["gap"] is False


class Holed(MemoryBroker):
    """A log in which some numbers cannot be read any more."""

    def __init__(self, *missing: int) -> None:
        super().__init__()
        self._missing = missing

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return [message for message in super().read_since(room, seq, 10_000) if message.seq not in self._missing][:limit]

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return [message for message in super().read_before(room, seq, 10_000) if message.seq not in self._missing][-limit:]


@pytest.mark.parametrize(
    ("missing", "fields", "gap"),
    [
        ([5], {}, True),
        ([5], {"since": 0}, True),
        ([5], {"since": 3}, True),
        ([5], {"since": 4}, True),
        ([5], {"since": 5}, False),
        ([10], {}, True),
        ([10], {"since": 0}, True),
        ([10], {"since": 9}, True),
        ([10], {"since": 10}, False),
        ([9, 10], {"since": 8}, True),
        ([1], {}, False),  # as where the oldest are not kept
        ([1], {"since": 0}, True),
        (range(1, 11), {}, False),
        (range(1, 11), {"since": 0}, True),
    ],
)
def test_a_hole_is_a_gap_wherever_it_is(open_chat: ChatFactory, missing: Sequence[int], fields: dict[str, Any], gap: bool) -> None:
    guests = open_chat(Holed(*missing))
    fill(guests.v1("alice", ROOM), 10)
    joined = guests.v1("bob").join(**fields)
    kept = [seq for seq in range(fields.get("since", 0) + 1, 11) if seq not in missing]
    assert (seqs(joined["messages"]), joined["last"], joined["more"], joined["gap"]) == (kept, 10, False, gap)


def test_a_hole_is_a_gap_of_the_history_as_well(open_chat: ChatFactory) -> None:
    guests = open_chat(Holed(5))
    alice = guests.v1("alice", ROOM)
    fill(alice, 10)
    gaps = {since: alice.ask(type="history", room=ROOM, since=since)["gap"] for since in (3, 4, 5, 9, 10)}
    assert gaps == {3: True, 4: True, 5: False, 9: False, 10: False}
    assert alice.ask(type="history", room=ROOM)["gap"]
    assert not alice.ask(type="history", room=ROOM, before=5)["gap"]
    assert alice.ask(type="history", room=ROOM, before=8)["gap"]


def test_what_is_still_to_be_asked_for_is_no_gap(open_chat: ChatFactory) -> None:
    guests = open_chat(Holed(1500))
    alice = guests.v1("alice", ROOM)
    fill(alice, 1600)
    joined = guests.v1("bob").join(since=100)
    assert (len(joined["messages"]), joined["more"], joined["gap"]) == (1000, True, False)
    assert alice.ask(type="history", room=ROOM, since=1100, limit=1000)["gap"]


def test_a_number_of_another_epoch_means_nothing(guests: Guests) -> None:
    fill(guests.v1("alice", ROOM), 3)
    joined = guests.v1("bob").join(since=2, epoch="another")
    assert (seqs(joined["messages"]), joined["gap"]) == ([1, 2, 3], True)
    assert guests.v1("carol").join(since=50)["gap"] is True  # nor does one that was never reached


def test_without_a_history_all_that_was_missed_is_a_gap(open_chat: ChatFactory) -> None:
    guests = open_chat()
    fill(guests.v1("alice", ROOM), 3)
    joined = guests.v1("bob").join(since=1)
    assert (joined["messages"], joined["last"], joined["gap"]) == ([], 3, True)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_coming_back_again_and_again_while_a_thousand_a_second_are_said(open_chat: ChatFactory, tmp_path: Path, kind: str) -> None:
    guests = open_chat(SqliteBroker(tmp_path / "history") if kind == "sqlite" else MemoryBroker())
    talkers = [guests.v1(f"talker-{number}", ROOM) for number in range(4)]
    has_to_stop = threading.Event()

    def talk(client: Client) -> None:
        # A little at a time: what one has not read oneself is what the server is slowed down by, too.
        while not has_to_stop.is_set():
            fill(client, 25)

    def come_and_go(number: int) -> None:
        names = itertools.count()
        client = guests.v1(f"visitor-{number}-{next(names)}")
        seen = [client.join(since=0)["last"]]
        for _ in range(15):
            seen += [client.next("message")["seq"] for _ in range(20)]
            client.ws.close()
            client = guests.v1(f"visitor-{number}-{next(names)}")
            seen += seqs(client.catch_up(ROOM, since=seen[-1]))
        assert seen == list(range(seen[0], seen[0] + len(seen)))

    with ThreadPoolExecutor() as threads:
        talking = [threads.submit(talk, client) for client in talkers]
        try:
            for visit in [threads.submit(come_and_go, number) for number in range(4)]:
                visit.result()
        finally:
            has_to_stop.set()
        for done in talking:
            done.result()


# Anything in any order, against a model


class Guest:
    """One client as a program would write it: when it comes back it asks for what it missed, and repeats what was not acknowledged."""

    def __init__(self, guests: Guests, name: str) -> None:
        self._guests = guests
        self._name = name
        self._numbers = itertools.count()
        self._client: Client | None = None
        self._pending: dict[str, None] = {}  # what is not acknowledged yet; its text is its id
        self.said: list[str] = []
        self.acknowledged: dict[int, str] = {}
        self.seen: list[tuple[int, str]] = []
        self._last: int | None = None  # up to which everything is known
        self._epoch: str | None = None

    def come(self) -> None:
        """Connect, catch up, and say again what may have been lost."""
        if self._client is None:
            self._client = self._guests.v1(path=f"/?token={mint(SECRET, self._name)}")
            self._join()
            for text in self._pending:
                self._client.tell(type="say", room=ROOM, text=text, id=text)

    def say(self) -> None:
        """Say something, and do not wait."""
        if self._client is not None:
            text = f"{self._name} {next(self._numbers)}"
            self.said.append(text)
            self._pending[text] = None
            self._client.tell(type="say", room=ROOM, text=text, id=text)

    def leave_and_join(self) -> None:
        """Leave the room and come back to it."""
        if self._client is not None:
            self.settle()
            assert self._client.ask(type="leave", room=ROOM)["type"] == "ack"
            self._take(self._client.seen())
            self._join()

    def settle(self) -> None:
        """Wait until everything that was said is acknowledged."""
        while self._client is not None and self._pending:
            self._take([self._client.next(lambda event: event["type"] in ("ack", "message"))])

    def go(self) -> None:
        """Be gone. What is on its way to us is lost: messages, and acks of what is in the log."""
        if self._client is not None:
            self._client.ws.close()
            self._client = None

    def _join(self) -> None:
        assert self._client is not None
        since = {} if self._last is None else {"since": self._last, "epoch": self._epoch}
        joined = self._client.join(ROOM, **since)
        assert not joined["gap"]
        self._epoch = joined["epoch"]
        if self._last is None:
            self._last = joined["last"] if not joined["messages"] else joined["messages"][0]["seq"] - 1
        self._see(joined["messages"])

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event["type"] == "ack" and event["id"] in self._pending:
                del self._pending[event["id"]]
                self.acknowledged[event["seq"]] = event["id"]
            elif event["type"] == "message":
                self._see([event])

    def _see(self, messages: list[Event]) -> None:
        for message in messages:
            assert self._last is not None
            assert message["seq"] == self._last + 1, "a hole, or something twice"
            self._last = message["seq"]
            self.seen.append((message["seq"], message["text"]))


@contextlib.contextmanager
def chat_of(kind: str) -> Iterator[Guests]:
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        broker: Broker = SqliteBroker(Path(folder) / "history") if kind == "sqlite" else MemoryBroker()
        chat = Chat(broker, access=Access(SECRET))  # by a token one has the same name again, also if one was quicker than the server
        stack.callback(chat.close)
        server = stack.enter_context(wschat.serve(chat.handle, port=0, subprotocols=SUBPROTOCOLS)).start()
        with contextlib.ExitStack() as clients:
            yield Guests(server, clients)


ACTIONS = ("come", "say", "say", "say", "leave_and_join", "settle", "go")


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ACTIONS)), max_size=60))
def test_whatever_people_do_each_sees_the_log_without_a_hole(kind: str, steps: list[tuple[int, str]]) -> None:
    with chat_of(kind) as guests:
        people = [Guest(guests, f"guest{number}") for number in range(4)]
        people[0].come()
        for who, action in steps:
            getattr(people[who], action)()
        for person in people:
            person.come()
            person.settle()
        reader = guests.v1(path=f"/?token={mint(SECRET, 'reader')}")
        messages = reader.ask(type="history", room=ROOM, since=0, limit=1000)["messages"]
        for person in people:
            person.go()
            person.come()  # and sees what has been said by the others meanwhile
        log = {message["seq"]: message["text"] for message in messages}
        assert list(log) == list(range(1, len(log) + 1))
        assert sorted(log.values()) == sorted(text for person in people for text in person.said)
        for number, person in enumerate(people):
            assert all(log[seq] == text for seq, text in [*person.acknowledged.items(), *person.seen])
            assert sorted(person.acknowledged.values()) == sorted(person.said)
            own = [text for text in log.values() if text.startswith(f"guest{number} ")]
            assert own == person.said
            assert [seq for seq, _ in person.seen] == list(range(len(log) - len(person.seen) + 1, len(log) + 1))
