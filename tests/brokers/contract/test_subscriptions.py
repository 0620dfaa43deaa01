"""Subscriptions: subscribers get each message once, in order, after it was appended and before its publisher is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from tests.brokers.wiring import Listener, Speaker, append, log_of, numbers, say, texts, upto
from tests.concurrency import TIMEOUT, switching_often
from wschat.brokers.base import Broker, Draft, Message, Outcome
from wschat.counters import counters


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
        def on_appended(self, outcomes: list[Outcome]) -> None:
            too_early.extend(outcome for outcome in outcomes if not isinstance(outcome[1], int) or outcome[1] > listener.sent)
            super().on_appended(outcomes)

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

        def on_messages(self, messages: Sequence[Message]) -> None:
            super().on_messages(messages)
            self.has_heard.set()

    def come_and_go() -> None:
        for _ in range(200):
            listener = Passing()
            last = broker.subscribe("lobby", listener)
            assert listener.has_heard.wait(TIMEOUT)
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
                task.result(TIMEOUT)
        finally:
            is_over.set()
        said = talking.result(TIMEOUT)
    assert numbers(steady.messages) == upto(said)


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
            assert read <= [broker.last_seq("lobby")]
        talking.result(TIMEOUT)
    assert numbers(listener.messages) == upto(1500)
