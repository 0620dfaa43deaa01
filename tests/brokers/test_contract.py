"""What every broker promises: one log for each room, numbered without holes, told to all in order, and kept as long as was said."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from time import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers.test_clock import DAY, Hands
from tests.brokers.wiring import (
    EVERYTHING,
    SECOND,
    TEXTS,
    Listener,
    Speaker,
    append,
    last_numbers,
    log_of,
    numbers,
    say,
    switching_often,
    texts,
    upto,
)
from tests.connection.wiring import PATIENCE, eventually
from wschat.brokers.base import Broker, Draft, Message, Outcome, Result, Retention, Rule
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.paging import MAX_PAGE_CHARACTERS
from wschat.brokers.sqlite import broker as sqlite
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.counters import counters
from wschat.errors import Rejected

# Makes an empty broker, with some retention; whoever has it made closes it.
BrokerFactory = Callable[..., Broker]

HUGE = 10**30  # what a peer may well call a number


@pytest.fixture(params=["sqlite", "memory"])
def make_broker(request: pytest.FixtureRequest, tmp_path: Path) -> BrokerFactory:
    files = count()

    def make(retention: Retention | None = None) -> Broker:
        return MemoryBroker(retention) if request.param == "memory" else SqliteBroker(tmp_path / f"{next(files)}.db", retention)

    return make


@pytest.fixture
def broker(make_broker: BrokerFactory) -> Iterator[Broker]:
    with closing(make_broker()) as made:
        yield made


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


def test_a_key_holds_also_when_its_message_is_not_kept_any_more(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=1))) as broker:
        assert say(broker, "lobby", "one", key="k") == [1]
        for _ in range(10):
            say(broker, "lobby", *["x"] * 60)
        assert say(broker, "lobby", "one", key="k") == [1]
        (result,) = say(broker, "lobby", "other words", key="k")
        assert isinstance(result, Rejected), "they were not said, and their author thinks so"
        assert say(broker, "lobby", "x") == [602]


def test_of_several_threads_that_say_the_same_with_its_key_one_is_heard(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    threads, keys = 8, [f"{number}" for number in range(100)]
    together = threading.Barrier(threads)

    def talk(thread: int) -> list[Result]:
        speaker = Speaker(broker)
        together.wait(PATIENCE)
        speaker.begin(*(Draft("lobby", f"{thread}", key, key) for key in random.Random(thread).sample(keys, len(keys))))
        speaker.wait_for(len(keys))
        return [result for _, result in sorted(speaker.outcomes, key=lambda outcome: keys.index(outcome[0].text))]

    with ThreadPoolExecutor(threads) as pool:
        first, *others = pool.map(talk, range(threads))
    assert all(results == first for results in others)
    assert {message.seq: message.text for message in listener.messages} == dict(zip(first, keys, strict=True))
    assert numbers(listener.messages) == numbers(log_of(broker, "lobby")) == upto(len(keys))


# Subscribers


def test_a_subscriber_gets_what_comes_after_the_number_it_was_given(broker: Broker) -> None:
    early, late = Listener(), Listener()
    assert broker.subscribe("lobby", early) == 0
    say(broker, "lobby", "one", "two")
    assert broker.subscribe("lobby", late) == 2
    say(broker, "lobby", "three")
    say(broker, "elsewhere", "not for them")
    assert (texts(early.messages), early.sent) == (["one", "two", "three"], 3)
    assert (texts(late.messages), late.sent) == (["three"], 1)
    assert early.messages == log_of(broker, "lobby")


def test_one_who_subscribed_to_several_rooms_gets_each_in_its_order(broker: Broker) -> None:
    listener = Listener()
    for room in "abc":
        broker.subscribe(room, listener)
    append(broker, *(Draft(room, "alice", f"{number}") for number in range(100) for room in "abcd"))
    assert listener.sent == 300
    for room in "abc":
        assert [message.seq for message in listener.messages if message.room == room] == upto(100)


def test_subscribers_come_while_several_threads_talk_and_miss_nothing_and_get_nothing_twice(broker: Broker) -> None:
    threads, each = 4, 1500
    speaker = Speaker(broker)
    listeners: list[tuple[int, Listener]] = []

    def talk(thread: int) -> None:
        for number in range(each):
            speaker.begin(Draft("lobby", f"{thread}", f"{number}"))

    with switching_often(), ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(talk, thread) for thread in range(threads)]
        while not all(task.done() for task in tasks) or len(listeners) < 10:
            listener = Listener()
            listeners.append((broker.subscribe("lobby", listener), listener))
            threading.Event().wait(0.001)  # so that they come all along, not all at the beginning
    speaker.wait_for(threads * each)
    log = log_of(broker, "lobby")
    assert numbers(log) == upto(threads * each)
    for last, listener in listeners:
        assert listener.messages == log[last:]
        assert listener.sent == len(listener.messages)


def test_an_author_is_told_after_the_subscribers(broker: Broker) -> None:
    """So whoever is told that it was said can rely on its being on the way to everybody, and in the log."""
    listener = Listener()
    broker.subscribe("lobby", listener)
    too_early: list[Outcome] = []

    class Checking(Speaker):
        def settled(self, outcomes: list[Outcome]) -> None:
            too_early.extend(outcome for outcome in outcomes if not isinstance(outcome[1], int) or outcome[1] > listener.sent)
            super().settled(outcomes)

    def talk(thread: int) -> None:
        speaker = Checking(broker)
        for number in upto(100):
            speaker.begin(Draft("lobby", f"{thread}", "x"))
            last = speaker.wait_for(number)[-1]
            assert isinstance(last, int)
            assert numbers(broker.read_since("lobby", last - 1, 1)) == [last]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(talk, range(4)))
    assert not too_early


def test_one_who_has_unsubscribed_gets_nothing_more(broker: Broker) -> None:
    gone, steady = Listener(), Listener()
    broker.subscribe("lobby", gone)
    broker.subscribe("lobby", steady)
    say(broker, "lobby", "one")
    broker.unsubscribe("lobby", gone)
    say(broker, "lobby", "two")
    assert (texts(gone.messages), texts(steady.messages)) == (["one"], ["one", "two"])
    assert broker.subscribe("lobby", gone) == 2
    say(broker, "lobby", "three")
    assert texts(gone.messages) == ["one", "three"]


def test_one_who_leaves_a_room_in_which_nothing_was_said_takes_nobody_with_it(broker: Broker) -> None:
    gone, steady = Listener(), Listener()
    broker.subscribe("lobby", gone)
    broker.subscribe("lobby", steady)
    broker.unsubscribe("lobby", gone)
    say(broker, "lobby", "one")
    assert (texts(gone.messages), texts(steady.messages)) == ([], ["one"])
    broker.unsubscribe("lobby", steady)


def test_what_is_said_is_counted_and_what_was_there_already_is_not(broker: Broker) -> None:
    before = counters.read().messages
    say(broker, "tea", "one", key="a")
    say(broker, "tea", "one", key="a")
    say(broker, "coffee", "one", "two")
    assert counters.read().messages - before == 3


def test_to_unsubscribe_from_one_room_is_not_to_do_so_from_others(broker: Broker) -> None:
    listener = Listener()
    broker.subscribe("a", listener)
    broker.subscribe("b", listener)
    broker.unsubscribe("a", listener)
    say(broker, "a", "not for it")
    say(broker, "b", "for it")
    assert texts(listener.messages) == ["for it"]


def test_subscribers_come_and_go_while_others_talk(broker: Broker) -> None:
    steady, speaker = Listener(), Speaker(broker)
    broker.subscribe("lobby", steady)
    is_over = threading.Event()

    class Passing(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.has_heard = threading.Event()

        def take(self, messages: Sequence[Message]) -> None:
            super().take(messages)
            self.has_heard.set()

    def come_and_go() -> None:
        for _ in range(200):
            listener = Passing()
            last = broker.subscribe("lobby", listener)
            assert listener.has_heard.wait(PATIENCE)
            broker.unsubscribe("lobby", listener)
            taken = numbers(listener.messages)
            assert taken == list(range(last + 1, last + 1 + len(taken)))

    def talk() -> int:
        for number in count(1):
            speaker.begin(Draft("lobby", "alice", "x"))
            speaker.wait_for(number)  # one at a time, so that there are many moments to come or go in
            if is_over.is_set():
                break
        return number

    with switching_often(), ThreadPoolExecutor(4) as pool:
        talking = pool.submit(talk)
        try:
            for task in [pool.submit(come_and_go) for _ in range(3)]:
                task.result(PATIENCE)
        finally:
            is_over.set()
        said = talking.result(PATIENCE)
    assert numbers(steady.messages) == upto(said)


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
            task.result(PATIENCE)
    speaker.wait_for(1000)


def test_nothing_can_be_read_that_was_not_handed_on(broker: Broker) -> None:
    """So that whoever reads the past and then follows the room gets nothing twice."""
    listener, speaker = Listener(), Speaker(broker)
    broker.subscribe("lobby", listener)

    def talk() -> None:
        for number in upto(1500):
            speaker.begin(Draft("lobby", "alice", "x"))
            speaker.wait_for(number)

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        while not talking.done():
            read = numbers(broker.read_before("lobby", None, 1))
            assert read <= [len(listener.messages)]
            assert read <= [broker.last_number("lobby")]
        talking.result(PATIENCE)
    assert numbers(listener.messages) == upto(1500)


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
        talking.result(PATIENCE)
    speaker.wait_for(500)
    assert broker.count_rooms() == 500


def test_a_room_of_which_nothing_is_kept_is_forgotten_when_it_has_been_quiet_for_long_and_nobody_is_in_it(
    make_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    hands = Hands(monkeypatch)
    with closing(make_broker(Retention(days=10))) as broker:
        append(broker, *(Draft(room, "alice", f"{number}", f"k{number}") for number in range(3) for room in ("gone", "followed", "busy")))
        say(broker, "gone", "one more")
        listener = Listener()
        broker.subscribe("followed", listener)
        hands.go_on(9 * DAY)
        say(broker, "busy", "still here")
        hands.go_on(1.5 * DAY)

        def rooms() -> list[str]:
            say(broker, "busy", "x")
            broker.count_rooms()
            return list(last_numbers(broker))

        eventually(lambda: rooms() == ["busy", "followed"])
        assert not broker.has_room("gone")
        assert log_of(broker, "gone") == log_of(broker, "followed") == []
        assert broker.last_number("followed") == 3
        assert append(broker, Draft("gone", "alice", "0", "k0")) == [5], "above all that it ever had"
        (new,) = say(broker, "new", "x")
        assert new == 5, "and so does every room that is made after it"
        assert say(broker, "followed", "x") == [4]
        assert numbers(listener.messages) == [4]
        assert numbers(log_of(broker, "gone")) == [5]


def test_nothing_is_forgotten_by_a_clock_that_is_implausible(make_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    hands = Hands(monkeypatch)
    with closing(make_broker(Retention(days=10))) as broker:
        say(broker, "tea", "x")
        hands.now += 365 * DAY
        for number in upto(20):
            assert say(broker, f"coffee{number}", "x") == [1]
            threading.Event().wait(0.01)  # time for some rounds
        assert broker.has_room("tea")
        assert texts(log_of(broker, "tea")) == ["x"]


def test_a_log_has_an_epoch_of_its_own(make_broker: BrokerFactory) -> None:
    with closing(make_broker()) as one, closing(make_broker()) as other:
        assert one.epoch
        assert one.epoch != other.epoch


# Retention


@pytest.mark.parametrize("said", [3, 7, 8, 20, 700])
def test_no_more_than_so_many_messages_are_kept(make_broker: BrokerFactory, said: int) -> None:
    with closing(make_broker(Retention(messages=7))) as broker:
        say(broker, "other", "still there")
        assert say(broker, "lobby", *map(str, upto(said))) == upto(said)
        kept = upto(said)[-7:]
        assert numbers(log_of(broker, "lobby")) == kept
        assert numbers(broker.read_before("lobby", None, EVERYTHING)) == kept
        assert numbers(broker.read_since("lobby", 0, 2)) == kept[:2]
        assert numbers(broker.read_since("lobby", kept[2], 3)) == kept[3:6]
        assert broker.read_before("lobby", kept[0], 5) == []
        assert numbers(broker.read_before("lobby", kept[0] + 1, 5)) == kept[:1]
        assert numbers(broker.read_before("lobby", None, 2)) == kept[-2:]
        assert last_numbers(broker) == {"lobby": said, "other": 1}
        assert texts(log_of(broker, "other")) == ["still there"]


def test_messages_are_kept_for_so_many_days(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(days=0.2 * SECOND))) as broker:
        assert say(broker, "lobby", "one", "two") == [1, 2]
        eventually(lambda: not log_of(broker, "lobby"))
        assert broker.read_before("lobby", None, 5) == broker.read_since("lobby", 1, 5) == []
        assert last_numbers(broker) == {"lobby": 2}
        newest: list[Result] = []

        def is_shown() -> bool:
            newest[:] = say(broker, "lobby", "new")
            return numbers(broker.read_before("lobby", None, 1)) == newest

        eventually(is_shown)  # at once, unless this machine sleeps for longer than messages are kept
        assert last_numbers(broker) == {"lobby": newest[0]}
        assert "one" not in texts(log_of(broker, "lobby"))


def test_without_limits_everything_is_kept(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=0, days=0))) as broker:
        say(broker, "lobby", *map(str, upto(1500)))
        assert numbers(log_of(broker, "lobby")) == upto(1500)


def test_both_limits_hold_at_once(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=3, days=0.2 * SECOND))) as broker:
        say(broker, "lobby", *map(str, upto(10)))
        assert set(numbers(log_of(broker, "lobby"))) <= {8, 9, 10}
        eventually(lambda: not log_of(broker, "lobby"))
        assert say(broker, "lobby", "x") == [11]


def test_what_a_retention_keeps() -> None:
    assert (Retention(messages=10).oldest_seq(5), Retention(messages=10).oldest_seq(10), Retention(messages=10).oldest_seq(11)) == (1, 1, 2)
    assert (Retention(messages=0).oldest_seq(1_000_000), Retention(messages=1).oldest_seq(0)) == (1, 1)
    assert (Retention(days=2).oldest_time(1e9), Retention(days=0).oldest_time(1e9)) == (1e9 - 172_800, 0.0)


def test_a_broker_that_keeps_no_messages_numbers_them_all_the_same() -> None:
    broker, listener = MemoryBroker(keeps_messages=False), Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one", "two") == [1, 2]
    assert [say(broker, "lobby", "three", key="k"), say(broker, "lobby", "three", key="k")] == [[3], [3]]
    assert texts(listener.messages) == ["one", "two", "three"]
    assert log_of(broker, "lobby") == broker.read_before("lobby", None, 5) == []
    assert last_numbers(broker) == {"lobby": 3}
    broker.close()


# Members and rules


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


def test_rules_hold_until_they_are_lifted(broker: Broker) -> None:
    assert broker.rules() == []
    rules = [
        Rule("lobby", "ban", "mallory", 0.0, "alice"),
        Rule("lobby", "mute", "mallory", 1e10 + 0.25, "alice"),
        Rule("other", "ban", "mallory", 0.0, "bob"),
        Rule("lobby", "ban", "trent", 0.0, "alice"),
    ]
    for rule in rules:
        broker.set_rules([rule])
    assert sorted(broker.rules()) == sorted(rules)
    broker.lift_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
    assert sorted(broker.rules()) == sorted(rules[1:])
    broker.lift_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
    broker.lift_rules([Rule("nowhere", "ban", "trent", 0.0, "")])
    assert sorted(broker.rules()) == sorted(rules[1:])


def test_a_rule_takes_the_place_of_the_one_before(broker: Broker) -> None:
    broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
    broker.set_rules([Rule("lobby", "ban", "mallory", 1e10, "bob")])
    assert broker.rules() == [Rule("lobby", "ban", "mallory", 1e10, "bob")]


def test_rules_come_back_as_they_were(broker: Broker) -> None:
    rules = [Rule(text, text, text, 0.5, text) for text in TEXTS]
    for rule in rules:
        broker.set_rules([rule])
    assert sorted(broker.rules()) == sorted(rules)
    for rule in rules:
        broker.lift_rules([rule])
    assert broker.rules() == []


def test_rules_are_made_while_others_talk(broker: Broker) -> None:
    speaker = Speaker(broker)

    def decide(room: str) -> None:
        for number in range(20):
            broker.set_rules([Rule(room, "mute", f"{number}", 0.0, "alice")])
            if number % 2:
                broker.lift_rules([Rule(room, "mute", f"{number}", 0.0, "")])

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(decide, room) for room in "abc"]
        speaker.begin(*(Draft("lobby", "alice", "x") for _ in range(1000)))
        for task in tasks:
            task.result(PATIENCE)
    assert speaker.wait_for(1000) == upto(1000)
    assert {rule[:3] for rule in broker.rules()} == {(room, "mute", f"{number}") for room in "abc" for number in range(0, 20, 2)}


# Anything


_rooms = st.sampled_from(["a", "b"])
_words = st.sampled_from(["", "x", "y\0", "😀"])
_drafts = st.builds(Draft, _rooms, st.sampled_from(["alice", "bob"]), _words, st.none() | st.sampled_from(["k", "l", ""]))
_numbers = st.integers(-1, 12) | st.sampled_from([2**31, 2**63 - 1, 2**63, HUGE])
_limits = st.integers(0, 5) | st.just(EVERYTHING)
_operations = st.one_of(
    st.lists(_drafts, min_size=1, max_size=5),
    st.tuples(st.just("since"), _rooms, _numbers, _limits),
    st.tuples(st.just("before"), _rooms, st.none() | _numbers, _limits),
)


class Model:
    """What a broker is, if nothing has to be fast, kept, or done by two at once."""

    def __init__(self) -> None:
        self.log: dict[str, list[tuple[str, int, str, str]]] = {}

    def append(self, draft: Draft, keys: dict[tuple[str, str], int]) -> int | str:
        log = self.log.setdefault(draft.room, [])
        if draft.key is not None:
            known = keys.setdefault((draft.room, draft.key), len(log) + 1)
            if known <= len(log):
                return known if log[known - 1][3] == draft.text else "id-used"
        log.append((draft.room, len(log) + 1, draft.sender, draft.text))
        return len(log)

    def since(self, room: str, seq: int, limit: int) -> list[tuple[str, int, str, str]]:
        return [message for message in self.log.get(room, []) if message[1] > seq][:limit]

    def before(self, room: str, seq: int | None, limit: int) -> list[tuple[str, int, str, str]]:
        found = [message for message in self.log.get(room, []) if seq is None or message[1] < seq]
        return found[max(0, len(found) - limit) :]


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
            assert [message[:4] for message in read(room, seq, limit)] == expected(room, seq, limit)
        for room, listener in listeners.items():
            assert [message[:4] for message in listener.messages] == model.since(room, 0, EVERYTHING)
            assert listener.sent == len(listener.messages)
        assert last_numbers(broker) == {room: len(log) for room, log in model.log.items()}
