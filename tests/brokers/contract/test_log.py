"""What every broker promises: one log for each room, numbered without holes, told to all in order, and kept as long as was said."""

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
from tests.brokers.wiring import EVERYTHING, TEXTS, Listener, Speaker, append, last_numbers, log_of, numbers, say, texts, upto
from tests.concurrency import TIMEOUT, eventually, switching_often
from wschat.brokers.base import TOPIC, Broker, Draft, Message, Result
from wschat.brokers.paging import MAX_PAGE_CHARACTERS
from wschat.errors import Rejected

HUGE = 10**30  # what a peer may well call a number


# Appending


def test_what_is_said_is_numbered_from_1_and_can_be_read(broker: Broker) -> None:
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


def test_rooms_are_numbered_each_by_itself(broker: Broker) -> None:
    assert append(broker, *(Draft(room, "alice", f"{number} in {room}") for number in range(3) for room in "abc")) == [
        number for number in upto(3) for _ in "abc"
    ]
    for room in "abc":
        assert texts(log_of(broker, room)) == [f"{number} in {room}" for number in range(3)]


def test_an_author_learns_which_draft_got_which_number(broker: Broker) -> None:
    speaker = Speaker(broker)
    drafts = [Draft("lobby", "alice", "same", tag=object()) for _ in range(5)]
    speaker.begin(*drafts)
    speaker.wait_for(5)
    assert speaker.outcomes == list(zip(drafts, upto(5), strict=True))


def test_each_author_is_told_of_its_own(broker: Broker) -> None:
    speakers = [Speaker(broker) for _ in range(3)]
    for _ in range(10):
        for speaker in speakers:
            speaker.begin(Draft("lobby", "alice", "x"))
    assert [speaker.wait_for(10) for speaker in speakers] == [[1 + first + 3 * number for number in range(10)] for first in range(3)]


def test_what_many_threads_say_has_no_holes_and_keeps_each_ones_order(broker: Broker) -> None:
    threads, each = 8, 300
    speaker = Speaker(broker)

    def talk(thread: int) -> None:
        for number in range(each):
            speaker.begin(Draft("lobby", f"{thread}", f"{number}"))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(talk, range(threads)))
    assert sorted(number for number in speaker.wait_for(threads * each) if isinstance(number, int)) == upto(threads * each)
    messages = log_of(broker, "lobby")
    assert numbers(messages) == upto(threads * each)
    for thread in range(threads):
        assert texts([message for message in messages if message.sender == f"{thread}"]) == [f"{number}" for number in range(each)]
    told = {result: draft for draft, result in speaker.outcomes}
    assert all((told[message.seq].sender, told[message.seq].text) == message[2:4] for message in messages)


def test_texts_come_back_as_they_were(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", *TEXTS) == upto(len(TEXTS))
    assert texts(log_of(broker, "lobby")) == TEXTS
    assert texts(listener.messages) == TEXTS


@pytest.mark.parametrize("length", [1, 1000, 64 * 1024, 1_000_000])
def test_one_read_brings_no_more_text_than_a_client_can_take_but_one_message_at_least(broker: Broker, length: int) -> None:
    say(broker, "lobby", *["x" * length] * 300)
    expected = max(1, min(300, MAX_PAGE_CHARACTERS // length))
    assert numbers(broker.read_since("lobby", 0, EVERYTHING)) == upto(300)[:expected]
    assert numbers(broker.read_before("lobby", None, EVERYTHING)) == upto(300)[-expected:]
    assert numbers(log_of(broker, "lobby")) == upto(300)


def test_names_of_senders_rooms_and_keys_are_told_apart_as_they_are_written(broker: Broker) -> None:
    for name in TEXTS:
        assert append(broker, Draft(name, name, "first", key=name)) == [1]
    for name in TEXTS:
        assert append(broker, Draft(name, name, "first", key=name), Draft(name, name, "second")) == [1, 2]
        assert [message[:4] for message in log_of(broker, name)] == [(name, 1, name, "first"), (name, 2, name, "second")]
    assert append(broker, *(Draft("lobby", "alice", "x", key=key) for key in TEXTS)) == upto(len(TEXTS))
    assert append(broker, *(Draft("lobby", "alice", "x", key=key) for key in TEXTS)) == upto(len(TEXTS))


def test_at_the_end_all_that_waits_is_appended(make_broker: BrokerFactory) -> None:
    broker = make_broker()
    speaker, listener = Speaker(broker), Listener()
    broker.subscribe("lobby", listener)
    speaker.begin(*(Draft("lobby", "alice", f"{number}") for number in upto(3000)))
    broker.close()
    assert [result for _, result in speaker.outcomes] == upto(3000)
    assert (numbers(listener.messages), listener.sent) == (upto(3000), 3000)


# Keys


def test_what_is_said_again_with_its_key_keeps_its_number_and_is_not_delivered_again(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one", key="k") == [1]
    assert say(broker, "lobby", "two", key="other") == [2]
    assert say(broker, "lobby", "one", key="k") == [1]
    assert say(broker, "lobby", "three") == [3]
    assert say(broker, "lobby", "one", key="k") == [1]
    assert texts(listener.messages) == texts(log_of(broker, "lobby")) == ["one", "two", "three"]


def test_a_key_holds_whoever_sends_it(broker: Broker) -> None:
    assert append(broker, Draft("lobby", "alice", "x", "k"), Draft("lobby", "bob", "x", "k")) == [1, 1]
    assert [message.sender for message in log_of(broker, "lobby")] == ["alice"]


def test_without_a_key_the_same_words_are_another_message(broker: Broker) -> None:
    assert say(broker, "lobby", "x", "x", "x") == [1, 2, 3]


def test_the_same_key_in_another_room_is_another_message(broker: Broker) -> None:
    assert say(broker, "a", "x", key="k") == [1]
    assert append(broker, Draft("b", "alice", "first"), Draft("b", "alice", "x", "k"), Draft("a", "alice", "x", "k")) == [1, 2, 1]
    assert (len(log_of(broker, "a")), len(log_of(broker, "b"))) == (1, 2)


def test_a_key_holds_within_a_burst(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    drafts = [Draft("lobby", "alice", f"{number}", key) for number in range(100) for key in (f"{number}", f"{number}", None)]
    assert append(broker, *drafts) == [number for first in range(1, 201, 2) for number in (first, first, first + 1)]
    assert numbers(listener.messages) == numbers(log_of(broker, "lobby")) == upto(200)


def test_other_words_with_a_key_that_was_used_are_rejected_and_not_lost_without_a_word(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one", key="k") == [1]
    results = [*say(broker, "lobby", "two", key="k"), *append(broker, Draft("lobby", "a", "x", "new"), Draft("lobby", "a", "y", "new"))]
    assert [result.code if isinstance(result, Rejected) else result for result in results] == ["id-used", 2, "id-used"]
    assert texts(listener.messages) == texts(log_of(broker, "lobby")) == ["one", "x"]
    assert say(broker, "lobby", "one", key="k") == [1]


def test_of_several_threads_that_say_the_same_with_its_key_one_is_heard(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    threads, keys = 8, [f"{number}" for number in range(100)]
    together = threading.Barrier(threads)

    def talk(thread: int) -> list[Result]:
        speaker = Speaker(broker)
        together.wait(TIMEOUT)
        speaker.begin(*(Draft("lobby", f"{thread}", key, key) for key in random.Random(thread).sample(keys, len(keys))))
        speaker.wait_for(len(keys))
        return [result for _, result in sorted(speaker.outcomes, key=lambda outcome: keys.index(outcome[0].text))]

    with ThreadPoolExecutor(threads) as pool:
        first, *others = pool.map(talk, range(threads))
    assert all(results == first for results in others)
    assert {message.seq: message.text for message in listener.messages} == dict(zip(first, keys, strict=True))
    assert numbers(listener.messages) == numbers(log_of(broker, "lobby")) == upto(len(keys))


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
def test_what_was_said_after_a_number(broker: Broker, seq: int, limit: int, expected: list[int]) -> None:
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
def test_what_was_said_before_a_number(broker: Broker, seq: int | None, limit: int, expected: list[int]) -> None:
    say(broker, "lobby", *map(str, upto(10)))
    messages = broker.read_before("lobby", seq, limit)
    assert numbers(messages) == expected
    assert texts(messages) == [str(number) for number in expected]


def test_nothing_was_said_in_a_room_that_nobody_knows_nor_in_an_empty_one(broker: Broker) -> None:
    say(broker, "lobby", "one")
    broker.subscribe("empty", Listener())
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


def test_who_reads_while_others_talk_finds_no_holes(broker: Broker) -> None:
    speaker = Speaker(broker)

    def talk() -> None:
        for _ in range(500):
            speaker.begin(Draft("lobby", "alice", "x"))

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
    speaker.wait_for(1000)


def test_the_last_numbers_are_those_of_the_rooms_in_which_something_was_said(broker: Broker) -> None:
    assert last_numbers(broker) == {}
    broker.subscribe("empty", Listener())
    append(broker, Draft("a", "alice", "x"), Draft("b", "alice", "x"), Draft("a", "alice", "x"))
    assert last_numbers(broker) == {"a": 2, "b": 1}
    say(broker, "b", "x", "x")
    assert last_numbers(broker) == {"a": 2, "b": 3}


def test_rooms_are_listed_in_pages_by_name(broker: Broker) -> None:
    names = ["B", "a", "b", "c", "ß", "é", "😀", "\uffff"]
    broker.subscribe("silent", Listener())
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


def test_rooms_are_listed_while_others_are_made(broker: Broker) -> None:
    speaker = Speaker(broker)

    def talk() -> None:
        for number in range(500):
            speaker.begin(Draft(f"{number:03}", "alice", "x"))

    with switching_often(), ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        while not talking.done():
            names = [name for name, _ in broker.rooms("1", 100)]
            assert names == sorted(set(names))
        talking.result(TIMEOUT)
    speaker.wait_for(500)
    assert broker.count_rooms() == 500


def test_a_log_has_an_epoch_of_its_own(make_broker: BrokerFactory) -> None:
    with closing(make_broker()) as one, closing(make_broker()) as other:
        assert one.epoch
        assert one.epoch != other.epoch


# Anything


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
    """What a broker is, if nothing has to be fast, kept, or done by two at once."""

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
def test_whatever_is_done_it_is_a_list_for_each_room(
    make_broker: BrokerFactory, operations: list[list[Draft] | tuple[str, str, int, int]]
) -> None:
    model = Model()
    keys: dict[tuple[str, str], int] = {}
    listeners = {room: Listener() for room in "ab"}
    with closing(make_broker()) as broker:
        for room, listener in listeners.items():
            assert broker.subscribe(room, listener) == 0
        for operation in operations:
            if isinstance(operation, list):
                results = [result.code if isinstance(result, Rejected) else result for result in append(broker, *operation)]
                assert results == [model.append(draft, keys) for draft in operation]
                continue
            name, room, seq, limit = operation
            read, expected = (broker.read_since, model.since) if name == "since" else (broker.read_before, model.before)
            assert list(map(Entry.of, read(room, seq, limit))) == expected(room, seq, limit)
        for room, listener in listeners.items():
            assert list(map(Entry.of, listener.messages)) == model.since(room, 0, EVERYTHING)
            topic = broker.topic(room)
            assert (Entry.of(topic) if topic else None) == model.topic(room)
            assert listener.sent == len(listener.messages)
        assert last_numbers(broker) == {room: len(log) for room, log in model.log.items()}
