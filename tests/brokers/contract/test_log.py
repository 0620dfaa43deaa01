"""The log of each room: messages are numbered without gaps, delivered in order, and can be read by number."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import time
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers.contract.conftest import BrokerFactory
from tests.brokers.wiring import (
    EVERYTHING,
    TEXTS,
    RecordingPublisher,
    RecordingSubscriber,
    append,
    last_numbers,
    log_of,
    numbers,
    say,
    texts,
    upto,
)
from tests.concurrency import TIMEOUT, eventually, switching_often
from wschat.brokers.base import TOPIC, Broker, Draft, Message, Result
from wschat.brokers.paging import MAX_PAGE_CHARACTERS
from wschat.errors import Rejected

HUGE = 10**30  # peers can send such a number


# Appending


def test_messages_are_numbered_from_1_and_can_be_read(broker: Broker) -> None:
    before = time()
    assert say(broker, "lobby", "one", "two") == [1, 2]
    assert append(broker, Draft("lobby", "bob", "three")) == [3]
    messages = log_of(broker, "lobby")
    assert [message[:4] for message in messages] == [
        ("lobby", 1, "alice", "one"),
        ("lobby", 2, "alice", "two"),
        ("lobby", 3, "bob", "three"),
    ]
    assert all(before <= message.time <= time() for message in messages)


def test_each_room_has_numbers_of_its_own(broker: Broker) -> None:
    assert append(broker, *(Draft(room, "alice", f"{number} in {room}") for number in range(3) for room in "abc")) == [
        number for number in upto(3) for _ in "abc"
    ]
    for room in "abc":
        assert texts(log_of(broker, room)) == [f"{number} in {room}" for number in range(3)]


def test_a_publisher_gets_the_number_of_each_draft(broker: Broker) -> None:
    publisher = RecordingPublisher(broker)
    drafts = [Draft("lobby", "alice", "same", tag=object()) for _ in range(5)]
    publisher.begin(*drafts)
    publisher.wait_for(5)
    assert publisher.outcomes == list(zip(drafts, upto(5), strict=True))


def test_each_publisher_gets_the_results_of_its_own_drafts(broker: Broker) -> None:
    publishers = [RecordingPublisher(broker) for _ in range(3)]
    for _ in range(10):
        for publisher in publishers:
            publisher.begin(Draft("lobby", "alice", "x"))
    assert [publisher.wait_for(10) for publisher in publishers] == [[1 + first + 3 * number for number in range(10)] for first in range(3)]


def test_messages_of_many_threads_have_no_gaps_and_keep_the_order_of_each(broker: Broker) -> None:
    threads, each = 8, 300
    publisher = RecordingPublisher(broker)

    def talk(thread: int) -> None:
        for number in range(each):
            publisher.begin(Draft("lobby", f"{thread}", f"{number}"))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(talk, range(threads)))
    assert sorted(number for number in publisher.wait_for(threads * each) if isinstance(number, int)) == upto(threads * each)
    messages = log_of(broker, "lobby")
    assert numbers(messages) == upto(threads * each)
    for thread in range(threads):
        assert texts([message for message in messages if message.sender == f"{thread}"]) == [f"{number}" for number in range(each)]
    drafts = {result: draft for draft, result in publisher.outcomes}
    assert all((drafts[message.seq].sender, drafts[message.seq].text) == message[2:4] for message in messages)


def test_texts_are_not_changed(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", *TEXTS) == upto(len(TEXTS))
    assert texts(log_of(broker, "lobby")) == TEXTS
    assert texts(subscriber.messages) == TEXTS


@pytest.mark.parametrize("length", [1, 1000, 64 * 1024, 1_000_000])
def test_a_read_returns_a_limited_amount_of_text_but_at_least_one_message(broker: Broker, length: int) -> None:
    number = max(5, min(300, 10 * MAX_PAGE_CHARACTERS // length))
    say(broker, "lobby", *["x" * length] * number)
    expected = max(1, min(number, MAX_PAGE_CHARACTERS // length))
    assert numbers(broker.read_since("lobby", 0, EVERYTHING)) == upto(number)[:expected]
    assert numbers(broker.read_before("lobby", None, EVERYTHING)) == upto(number)[-expected:]
    assert numbers(log_of(broker, "lobby")) == upto(number)


def test_senders_rooms_and_keys_that_differ_in_any_character_are_different(broker: Broker) -> None:
    for name in TEXTS:
        assert append(broker, Draft(name, name, "first", key=name)) == [1]
    for name in TEXTS:
        assert append(broker, Draft(name, name, "first", key=name), Draft(name, name, "second")) == [1, 2]
        assert [message[:4] for message in log_of(broker, name)] == [(name, 1, name, "first"), (name, 2, name, "second")]
    assert append(broker, *(Draft("lobby", "alice", "x", key=key) for key in TEXTS)) == upto(len(TEXTS))
    assert append(broker, *(Draft("lobby", "alice", "x", key=key) for key in TEXTS)) == upto(len(TEXTS))


def test_close_appends_all_queued_drafts(make_broker: BrokerFactory) -> None:
    broker = make_broker()
    publisher, subscriber = RecordingPublisher(broker), RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    publisher.begin(*(Draft("lobby", "alice", f"{number}") for number in upto(3000)))
    broker.close()
    assert [result for _, result in publisher.outcomes] == upto(3000)
    assert (numbers(subscriber.messages), subscriber.sent) == (upto(3000), 3000)


# Keys


def test_a_message_repeated_with_its_key_keeps_its_number_and_is_not_delivered_again(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one", key="k") == [1]
    assert say(broker, "lobby", "two", key="other") == [2]
    assert say(broker, "lobby", "one", key="k") == [1]
    assert say(broker, "lobby", "three") == [3]
    assert say(broker, "lobby", "one", key="k") == [1]
    assert texts(subscriber.messages) == texts(log_of(broker, "lobby")) == ["one", "two", "three"]


def test_a_key_applies_to_all_senders(broker: Broker) -> None:
    assert append(broker, Draft("lobby", "alice", "x", "k"), Draft("lobby", "bob", "x", "k")) == [1, 1]
    assert [message.sender for message in log_of(broker, "lobby")] == ["alice"]


def test_without_a_key_the_same_text_is_another_message(broker: Broker) -> None:
    assert say(broker, "lobby", "x", "x", "x") == [1, 2, 3]


def test_the_same_key_in_another_room_is_another_message(broker: Broker) -> None:
    assert say(broker, "a", "x", key="k") == [1]
    assert append(broker, Draft("b", "alice", "first"), Draft("b", "alice", "x", "k"), Draft("a", "alice", "x", "k")) == [1, 2, 1]
    assert (len(log_of(broker, "a")), len(log_of(broker, "b"))) == (1, 2)


def test_keys_apply_within_one_batch(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    drafts = [Draft("lobby", "alice", f"{number}", key) for number in range(100) for key in (f"{number}", f"{number}", None)]
    assert append(broker, *drafts) == [number for first in range(1, 201, 2) for number in (first, first, first + 1)]
    assert numbers(subscriber.messages) == numbers(log_of(broker, "lobby")) == upto(200)


def test_another_text_with_a_used_key_is_rejected(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one", key="k") == [1]
    results = [*say(broker, "lobby", "two", key="k"), *append(broker, Draft("lobby", "a", "x", "new"), Draft("lobby", "a", "y", "new"))]
    assert [result.code if isinstance(result, Rejected) else result for result in results] == ["id-used", 2, "id-used"]
    assert texts(subscriber.messages) == texts(log_of(broker, "lobby")) == ["one", "x"]
    assert say(broker, "lobby", "one", key="k") == [1]


def test_of_concurrent_messages_with_one_key_one_is_delivered(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    threads, keys = 8, [f"{number}" for number in range(100)]
    barrier = threading.Barrier(threads)

    def talk(thread: int) -> list[Result]:
        publisher = RecordingPublisher(broker)
        barrier.wait(TIMEOUT)
        publisher.begin(*(Draft("lobby", f"{thread}", key, key) for key in random.Random(thread).sample(keys, len(keys))))
        publisher.wait_for(len(keys))
        return [result for _, result in sorted(publisher.outcomes, key=lambda outcome: keys.index(outcome[0].text))]

    with ThreadPoolExecutor(threads) as pool:
        first, *others = pool.map(talk, range(threads))
    assert all(results == first for results in others)
    assert {message.seq: message.text for message in subscriber.messages} == dict(zip(first, keys, strict=True))
    assert numbers(subscriber.messages) == numbers(log_of(broker, "lobby")) == upto(len(keys))


# Reading


@pytest.mark.parametrize(
    ("seq", "limit", "expected"),
    [
        (0, EVERYTHING, upto(10)),
        (0, 3, [1, 2, 3]),
        (4, 3, [5, 6, 7]),
        (8, 2, [9, 10]),
        (9, 5, [10]),
        (9, 1, [10]),
        (10, 5, []),
        (11, 5, []),
        (5, 0, []),
        (2**63 - 1, 5, []),
        (2**63, 5, []),
        (HUGE, 5, []),
        (-1, 2, [1, 2]),
        (-HUGE, 2, [1, 2]),
        (7, HUGE, [8, 9, 10]),
    ],
)
def test_reading_messages_after_a_number(broker: Broker, seq: int, limit: int, expected: list[int]) -> None:
    say(broker, "lobby", *map(str, upto(10)))
    messages = broker.read_since("lobby", seq, limit)
    assert numbers(messages) == expected
    assert texts(messages) == [str(number) for number in expected]


@pytest.mark.parametrize(
    ("seq", "limit", "expected"),
    [
        (None, EVERYTHING, upto(10)),
        (None, 3, [8, 9, 10]),
        (None, 0, []),
        (11, 3, [8, 9, 10]),
        (12, 3, [8, 9, 10]),
        (10, 3, [7, 8, 9]),
        (3, 5, [1, 2]),
        (2, 1, [1]),
        (1, 5, []),
        (0, 5, []),
        (5, 0, []),
        (2**63 - 1, 3, [8, 9, 10]),
        (2**63, 3, [8, 9, 10]),
        (HUGE, 3, [8, 9, 10]),
        (-1, 3, []),
        (-HUGE, 3, []),
        (4, HUGE, [1, 2, 3]),
    ],
)
def test_reading_messages_before_a_number(broker: Broker, seq: int | None, limit: int, expected: list[int]) -> None:
    say(broker, "lobby", *map(str, upto(10)))
    messages = broker.read_before("lobby", seq, limit)
    assert numbers(messages) == expected
    assert texts(messages) == [str(number) for number in expected]


def test_unknown_and_empty_rooms_have_no_messages(broker: Broker) -> None:
    say(broker, "lobby", "one")
    broker.subscribe("empty", RecordingSubscriber())
    for room in ("unknown", "empty"):
        for seq in (0, 1, HUGE):
            assert broker.read_since(room, seq, 5) == []
            assert broker.read_before(room, seq, 5) == []
        assert broker.read_before(room, None, 5) == []
    assert last_numbers(broker) == {"lobby": 1}


def test_a_room_can_be_read_in_pages_from_either_end(broker: Broker) -> None:
    say(broker, "lobby", *map(str, upto(10)))
    forward: list[Message] = []
    while page := broker.read_since("lobby", forward[-1].seq if forward else 0, 3):
        forward += page
    backward: list[Message] = []
    while page := broker.read_before("lobby", backward[0].seq if backward else None, 3):
        backward[:0] = page
    assert forward == backward == log_of(broker, "lobby")


def test_reads_during_appends_have_no_gaps(broker: Broker) -> None:
    publisher = RecordingPublisher(broker)

    def talk() -> None:
        for _ in range(500):
            publisher.begin(Draft("lobby", "alice", "x"))

    newest = 0

    def all_is_read() -> bool:
        nonlocal newest
        found = numbers(log_of(broker, "lobby"))
        assert found == upto(len(found))
        assert len(found) >= newest
        newest = len(found)
        last_ones = numbers(broker.read_before("lobby", None, 5))
        assert last_ones == upto(last_ones[-1] if last_ones else 0)[-5:]
        return newest == 1000

    with switching_often(), ThreadPoolExecutor(2) as pool:
        tasks = [pool.submit(talk) for _ in range(2)]
        eventually(all_is_read)
        for task in tasks:
            task.result(TIMEOUT)
    publisher.wait_for(1000)


def test_only_rooms_with_messages_are_listed(broker: Broker) -> None:
    assert last_numbers(broker) == {}
    broker.subscribe("empty", RecordingSubscriber())
    append(broker, Draft("a", "alice", "x"), Draft("b", "alice", "x"), Draft("a", "alice", "x"))
    assert last_numbers(broker) == {"a": 2, "b": 1}
    say(broker, "b", "x", "x")
    assert last_numbers(broker) == {"a": 2, "b": 3}


def test_rooms_are_listed_in_pages_by_name(broker: Broker) -> None:
    names = ["B", "a", "b", "c", "ß", "é", "😀", "\uffff"]
    broker.subscribe("silent", RecordingSubscriber())
    assert (broker.rooms(None, 5), broker.count_rooms(), broker.has_room("silent")) == ([], 0, False)
    append(broker, *(Draft(name, "alice", "x") for name in random.Random(1).sample(names, len(names))), Draft("a", "alice", "x"))
    assert broker.rooms(None, EVERYTHING) == [(name, 2 if name == "a" else 1) for name in sorted(names)]
    assert (broker.count_rooms(), broker.has_room("a"), broker.has_room("silent")) == (len(names), True, False)
    pages: list[str] = []
    while page := broker.rooms(pages[-1] if pages else None, 3):
        pages += [name for name, _ in page]
    assert pages == sorted(names)
    assert broker.rooms("aa", 1) == [("b", 1)]
    assert broker.rooms(None, 0) == []


def test_rooms_can_be_listed_while_new_ones_are_created(broker: Broker) -> None:
    publisher = RecordingPublisher(broker)

    def talk() -> None:
        for number in range(500):
            publisher.begin(Draft(f"{number:03}", "alice", "x"))

    with switching_often(), ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        while not talking.done():
            names = [name for name, _ in broker.rooms("1", 100)]
            assert names == sorted(set(names))
        talking.result(TIMEOUT)
    publisher.wait_for(500)
    assert broker.count_rooms() == 500


def test_a_log_has_an_epoch_of_its_own(make_broker: BrokerFactory) -> None:
    with closing(make_broker()) as one, closing(make_broker()) as other:
        assert one.epoch
        assert one.epoch != other.epoch


# Random operations, compared with a model


_rooms = st.sampled_from(["a", "b"])
_words = st.sampled_from(["", "x", "y\0", "😀"])
_keys = st.none() | st.sampled_from(["k", "l", ""])
_drafts = st.builds(Draft, _rooms, st.sampled_from(["alice", "bob"]), _words, _keys, kind=st.sampled_from(["", TOPIC]))
_numbers = st.integers(-1, 12) | st.sampled_from([2**31, 2**63 - 1, 2**63, HUGE])
_limits = st.integers(0, 5) | st.just(EVERYTHING)
_operations = st.one_of(
    st.lists(_drafts, min_size=1, max_size=5),
    st.tuples(st.just("since"), _rooms, _numbers, _limits),
    st.tuples(st.just("before"), _rooms, st.none() | _numbers, _limits),
)


class Entry(NamedTuple):
    """A message without its time."""

    room: str
    seq: int
    sender: str
    text: str
    kind: str

    @classmethod
    def of(cls, message: Message) -> Entry:
        return cls(*message[:4], message.kind)


class Model:
    """A broker without speed, persistence and threads."""

    def __init__(self) -> None:
        self.log: dict[str, list[Entry]] = {}

    def append(self, draft: Draft, keys: dict[tuple[str, str], int]) -> int | str:
        log = self.log.setdefault(draft.room, [])
        if draft.key is not None:
            known = keys.setdefault((draft.room, draft.key), len(log) + 1)
            if known <= len(log):
                return known if (log[known - 1].text, log[known - 1].kind) == (draft.text, draft.kind) else "id-used"
        log.append(Entry(draft.room, len(log) + 1, draft.sender, draft.text, draft.kind))
        return len(log)

    def since(self, room: str, seq: int, limit: int) -> list[Entry]:
        return [message for message in self.log.get(room, []) if message.seq > seq][:limit]

    def before(self, room: str, seq: int | None, limit: int) -> list[Entry]:
        found = [message for message in self.log.get(room, []) if seq is None or message.seq < seq]
        return found[max(0, len(found) - limit) :]

    def topic(self, room: str) -> Entry | None:
        topics = [message for message in self.log.get(room, []) if message.kind == TOPIC]
        return topics[-1] if topics and topics[-1].text else None


# Each example has a broker of its own: the fixture only makes them.
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(_operations, max_size=15))
def test_any_operations_have_the_results_of_a_list_for_each_room(
    make_broker: BrokerFactory, operations: list[list[Draft] | tuple[str, str, int, int]]
) -> None:
    model = Model()
    keys: dict[tuple[str, str], int] = {}
    subscribers = {room: RecordingSubscriber() for room in "ab"}
    with closing(make_broker()) as broker:
        for room, subscriber in subscribers.items():
            assert broker.subscribe(room, subscriber) == 0
        for operation in operations:
            if isinstance(operation, list):
                results = [result.code if isinstance(result, Rejected) else result for result in append(broker, *operation)]
                assert results == [model.append(draft, keys) for draft in operation]
                continue
            name, room, seq, limit = operation
            read, expected = (broker.read_since, model.since) if name == "since" else (broker.read_before, model.before)
            assert list(map(Entry.of, read(room, seq, limit))) == expected(room, seq, limit)
        for room, subscriber in subscribers.items():
            assert list(map(Entry.of, subscriber.messages)) == model.since(room, 0, EVERYTHING)
            topic = broker.topic(room)
            assert (Entry.of(topic) if topic else None) == model.topic(room)
            assert subscriber.sent == len(subscriber.messages)
        assert last_numbers(broker) == {room: len(log) for room, log in model.log.items()}
