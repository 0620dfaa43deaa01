"""Joining and resuming: old and new messages are received without gaps and without duplicates."""

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
    """Send this many messages and wait until all have numbers."""
    for _ in range(count - 1):
        client.tell(type="say", room=ROOM, text="x")
    client.say("x", ROOM)


def test_joining_returns_the_last_hundred_messages(guests: Guests) -> None:
    alice = guests.v1("alice", ROOM)
    fill(alice, 100)
    assert seqs(guests.v1("bob").join()["messages"]) == list(range(1, 101))
    alice.say("one more")
    joined = guests.v1("carol").join()
    assert (seqs(joined["messages"]), joined["last"], joined["more"], joined["gap"]) == (list(range(2, 102)), 101, True, False)


def test_resuming_returns_the_missed_messages_and_then_new_ones_arrive(guests: Guests) -> None:
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


def test_resuming_returns_a_thousand_messages_and_the_history_the_rest(guests: Guests) -> None:
    alice = guests.v1("alice", ROOM)
    fill(alice, 2500)
    bob = guests.v1("bob")
    joined = bob.join(since=100)
    assert (seqs(joined["messages"]), joined["last"], joined["more"]) == (list(range(101, 1101)), 2500, True)
    alice.say("meanwhile")
    assert bob.next("message")["seq"] == 2501
    assert seqs(guests.v1("carol").catch_up(ROOM, since=100)) == list(range(101, 2502))


@pytest.mark.parametrize("since", [0, 5, 89])
def test_deleted_messages_are_a_gap(open_chat: ChatFactory, tmp_path: Path, since: int) -> None:
    guests = open_chat(SqliteBroker(tmp_path / "history", Retention(messages=10)))
    fill(guests.v1("alice", ROOM), 100)
    joined = guests.v1("bob").join(since=since)
    assert (seqs(joined["messages"]), joined["gap"]) == (list(range(91, 101)), True)
    assert guests.v1("carol").join(since=90)["gap"] is False


class Holed(MemoryBroker):
    """A log in which some messages can no longer be read."""

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
        ([1], {}, False),  # as if the oldest were deleted
        ([1], {"since": 0}, True),
        (range(1, 11), {}, False),
        (range(1, 11), {"since": 0}, True),
    ],
)
def test_missing_messages_are_a_gap_wherever_they_are(
    open_chat: ChatFactory, missing: Sequence[int], fields: dict[str, Any], gap: bool
) -> None:
    guests = open_chat(Holed(*missing))
    fill(guests.v1("alice", ROOM), 10)
    joined = guests.v1("bob").join(**fields)
    kept = [seq for seq in range(fields.get("since", 0) + 1, 11) if seq not in missing]
    assert (seqs(joined["messages"]), joined["last"], joined["more"], joined["gap"]) == (kept, 10, False, gap)


def test_missing_messages_are_a_gap_of_the_history_too(open_chat: ChatFactory) -> None:
    guests = open_chat(Holed(5))
    alice = guests.v1("alice", ROOM)
    fill(alice, 10)
    gaps = {since: alice.ask(type="history", room=ROOM, since=since)["gap"] for since in (3, 4, 5, 9, 10)}
    assert gaps == {3: True, 4: True, 5: False, 9: False, 10: False}
    assert alice.ask(type="history", room=ROOM)["gap"]
    assert not alice.ask(type="history", room=ROOM, before=5)["gap"]
    assert alice.ask(type="history", room=ROOM, before=8)["gap"]


def test_messages_beyond_the_page_are_not_a_gap(open_chat: ChatFactory) -> None:
    guests = open_chat(Holed(1500))
    alice = guests.v1("alice", ROOM)
    fill(alice, 1600)
    joined = guests.v1("bob").join(since=100)
    assert (len(joined["messages"]), joined["more"], joined["gap"]) == (1000, True, False)
    assert alice.ask(type="history", room=ROOM, since=1100, limit=1000)["gap"]


def test_a_number_of_another_epoch_is_ignored(guests: Guests) -> None:
    fill(guests.v1("alice", ROOM), 3)
    joined = guests.v1("bob").join(since=2, epoch="another")
    assert (seqs(joined["messages"]), joined["gap"]) == ([1, 2, 3], True)
    assert guests.v1("carol").join(since=50)["gap"] is True  # nor a number that does not exist yet


def test_without_a_history_missed_messages_are_a_gap(open_chat: ChatFactory) -> None:
    guests = open_chat()
    fill(guests.v1("alice", ROOM), 3)
    joined = guests.v1("bob").join(since=1)
    assert (joined["messages"], joined["last"], joined["gap"]) == ([], 3, True)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_clients_that_resume_again_and_again_under_load_miss_nothing(open_chat: ChatFactory, tmp_path: Path, kind: str) -> None:
    guests = open_chat(SqliteBroker(tmp_path / "history") if kind == "sqlite" else MemoryBroker())
    talkers = [guests.v1(f"talker-{number}", ROOM) for number in range(4)]
    has_to_stop = threading.Event()

    def talk(client: Client) -> None:
        # In small steps: a client that does not read its own messages slows the server down.
        while not has_to_stop.is_set():
            fill(client, 25)

    def resume_repeatedly(number: int) -> None:
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
            for visit in [threads.submit(resume_repeatedly, number) for number in range(4)]:
                visit.result()
        finally:
            has_to_stop.set()
        for done in talking:
            done.result()


# Random actions, compared with a model


class ResumingClient:
    """A client that, after reconnecting, reads what it missed and repeats what was not acknowledged."""

    def __init__(self, guests: Guests, name: str) -> None:
        self._guests = guests
        self._name = name
        self._numbers = itertools.count()
        self._client: Client | None = None
        self._pending: dict[str, None] = {}  # messages not yet acknowledged; the text is the id
        self.sent: list[str] = []
        self.acknowledged: dict[int, str] = {}
        self.seen: list[tuple[int, str]] = []
        self._last: int | None = None  # the last number received
        self._epoch: str | None = None

    def connect(self) -> None:
        """Connect, read what was missed, and repeat what may have been lost."""
        if self._client is None:
            self._client = self._guests.v1(path=f"/?token={mint(SECRET, self._name)}")
            self._join()
            for text in self._pending:
                self._client.tell(type="say", room=ROOM, text=text, id=text)

    def say(self) -> None:
        """Send a message without waiting for the ack."""
        if self._client is not None:
            text = f"{self._name} {next(self._numbers)}"
            self.sent.append(text)
            self._pending[text] = None
            self._client.tell(type="say", room=ROOM, text=text, id=text)

    def leave_and_join(self) -> None:
        """Leave the room and join it again."""
        if self._client is not None:
            self.settle()
            assert self._client.ask(type="leave", room=ROOM)["type"] == "ack"
            self._take(self._client.seen())
            self._join()

    def settle(self) -> None:
        """Wait until all messages are acknowledged."""
        while self._client is not None and self._pending:
            self._take([self._client.next(lambda event: event["type"] in ("ack", "message"))])

    def disconnect(self) -> None:
        """Disconnect. Messages and acks that are under way are lost."""
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
            assert message["seq"] == self._last + 1, "a message is missing or was received twice"
            self._last = message["seq"]
            self.seen.append((message["seq"], message["text"]))


@contextlib.contextmanager
def chat_of(kind: str) -> Iterator[Guests]:
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        broker: Broker = SqliteBroker(Path(folder) / "history") if kind == "sqlite" else MemoryBroker()
        chat = Chat(
            broker, access=Access(SECRET)
        )  # with a token, a client can reconnect by the same name before the server has noticed the disconnect
        stack.callback(chat.close)
        server = stack.enter_context(wschat.serve(chat.handle, port=0, subprotocols=SUBPROTOCOLS)).start()
        with contextlib.ExitStack() as clients:
            yield Guests(server, clients)


ACTIONS = ("connect", "say", "say", "say", "leave_and_join", "settle", "disconnect")


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ACTIONS)), max_size=60))
def test_each_client_gets_the_whole_log_for_any_sequence_of_actions(kind: str, steps: list[tuple[int, str]]) -> None:
    with chat_of(kind) as guests:
        clients = [ResumingClient(guests, f"guest{number}") for number in range(4)]
        clients[0].connect()
        for number, action in steps:
            getattr(clients[number], action)()
        for client in clients:
            client.connect()
            client.settle()
        reader = guests.v1(path=f"/?token={mint(SECRET, 'reader')}")
        messages = reader.ask(type="history", room=ROOM, since=0, limit=1000)["messages"]
        for client in clients:
            client.disconnect()
            client.connect()  # and receives the messages of the others
        log = {message["seq"]: message["text"] for message in messages}
        assert list(log) == list(range(1, len(log) + 1))
        assert sorted(log.values()) == sorted(text for client in clients for text in client.sent)
        for number, client in enumerate(clients):
            assert all(log[seq] == text for seq, text in [*client.acknowledged.items(), *client.seen])
            assert sorted(client.acknowledged.values()) == sorted(client.sent)
            own = [text for text in log.values() if text.startswith(f"guest{number} ")]
            assert own == client.sent
            assert [seq for seq, _ in client.seen] == list(range(len(log) - len(client.seen) + 1, len(log) + 1))
