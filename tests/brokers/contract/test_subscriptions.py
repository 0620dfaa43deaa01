"""Subscriptions: subscribers get each message once, in order, after it was appended and before its publisher is called."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from tests.brokers.wiring import RecordingPublisher, RecordingSubscriber, append, log_of, numbers, say, texts, upto
from tests.concurrency import TIMEOUT, switching_often
from wschat.brokers.base import Broker, Draft, Message, Outcome
from wschat.counters import counters


def test_a_subscriber_gets_the_messages_after_the_number_that_subscribe_returned(broker: Broker) -> None:
    early, late = RecordingSubscriber(), RecordingSubscriber()
    assert broker.subscribe("lobby", early) == 0
    say(broker, "lobby", "one", "two")
    assert broker.subscribe("lobby", late) == 2
    say(broker, "lobby", "three")
    say(broker, "elsewhere", "another room")
    assert (texts(early.messages), early.sent) == (["one", "two", "three"], 3)
    assert (texts(late.messages), late.sent) == (["three"], 1)
    assert early.messages == log_of(broker, "lobby")


def test_a_subscriber_of_several_rooms_gets_each_in_order(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    for room in "abc":
        broker.subscribe(room, subscriber)
    append(broker, *(Draft(room, "alice", f"{number}") for number in range(100) for room in "abcd"))
    assert subscriber.sent == 300
    for room in "abc":
        assert [message.seq for message in subscriber.messages if message.room == room] == upto(100)


def test_subscribers_added_during_appends_get_each_message_once(broker: Broker) -> None:
    threads, each = 4, 1500
    publisher = RecordingPublisher(broker)
    subscribers: list[tuple[int, RecordingSubscriber]] = []

    def talk(thread: int) -> None:
        for number in range(each):
            if number % 60 == 0:  # while the other threads append
                subscriber = RecordingSubscriber()
                subscribers.append((broker.subscribe("lobby", subscriber), subscriber))
            publisher.begin(Draft("lobby", f"{thread}", f"{number}"))

    with switching_often(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(talk, range(threads)))
    publisher.wait_for(threads * each)
    log = log_of(broker, "lobby")
    assert numbers(log) == upto(threads * each)
    for last, subscriber in subscribers:
        assert subscriber.messages == log[last:]
        assert subscriber.sent == len(subscriber.messages)


def test_a_publisher_is_called_after_the_subscribers(broker: Broker) -> None:
    """So a publisher with a result can rely on the message being in the log and on its way to all subscribers."""
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    too_early: list[Outcome] = []

    class Checking(RecordingPublisher):
        def on_appended(self, outcomes: list[Outcome]) -> None:
            too_early.extend(outcome for outcome in outcomes if not isinstance(outcome[1], int) or outcome[1] > subscriber.sent)
            super().on_appended(outcomes)

    def talk(thread: int) -> None:
        publisher = Checking(broker)
        for number in upto(100):
            publisher.begin(Draft("lobby", f"{thread}", "x"))
            last = publisher.wait_for(number)[-1]
            assert isinstance(last, int)
            assert numbers(broker.read_since("lobby", last - 1, 1)) == [last]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(talk, range(4)))
    assert not too_early


def test_an_unsubscribed_subscriber_gets_no_more_messages(broker: Broker) -> None:
    gone, staying = RecordingSubscriber(), RecordingSubscriber()
    broker.subscribe("lobby", gone)
    broker.subscribe("lobby", staying)
    say(broker, "lobby", "one")
    broker.unsubscribe("lobby", gone)
    say(broker, "lobby", "two")
    assert (texts(gone.messages), texts(staying.messages)) == (["one"], ["one", "two"])
    assert broker.subscribe("lobby", gone) == 2
    say(broker, "lobby", "three")
    assert texts(gone.messages) == ["one", "three"]


def test_unsubscribing_from_an_empty_room_keeps_other_subscribers(broker: Broker) -> None:
    gone, staying = RecordingSubscriber(), RecordingSubscriber()
    broker.subscribe("lobby", gone)
    broker.subscribe("lobby", staying)
    broker.unsubscribe("lobby", gone)
    say(broker, "lobby", "one")
    assert (texts(gone.messages), texts(staying.messages)) == ([], ["one"])
    broker.unsubscribe("lobby", staying)


def test_new_messages_are_counted_and_duplicates_are_not(broker: Broker) -> None:
    before = counters.read().messages
    say(broker, "tea", "one", key="a")
    say(broker, "tea", "one", key="a")
    say(broker, "coffee", "one", "two")
    assert counters.read().messages - before == 3


def test_unsubscribing_from_one_room_keeps_other_subscriptions(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("a", subscriber)
    broker.subscribe("b", subscriber)
    broker.unsubscribe("a", subscriber)
    say(broker, "a", "not subscribed")
    say(broker, "b", "subscribed")
    assert texts(subscriber.messages) == ["subscribed"]


def test_subscribers_can_come_and_go_during_appends(broker: Broker) -> None:
    staying, publisher = RecordingSubscriber(), RecordingPublisher(broker)
    broker.subscribe("lobby", staying)
    is_over = threading.Event()

    class Passing(RecordingSubscriber):
        def __init__(self) -> None:
            super().__init__()
            self.has_received = threading.Event()

        def on_messages(self, messages: Sequence[Message]) -> None:
            super().on_messages(messages)
            self.has_received.set()

    def come_and_go() -> None:
        for _ in range(200):
            subscriber = Passing()
            last = broker.subscribe("lobby", subscriber)
            assert subscriber.has_received.wait(TIMEOUT)
            broker.unsubscribe("lobby", subscriber)
            taken = numbers(subscriber.messages)
            assert taken == list(range(last + 1, last + 1 + len(taken)))

    def talk() -> int:
        for number in count(1):
            publisher.begin(Draft("lobby", "alice", "x"))
            publisher.wait_for(number)  # one at a time, so that subscribers change between messages
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
        number = talking.result(TIMEOUT)
    assert numbers(staying.messages) == upto(number)


def test_messages_are_delivered_before_they_can_be_read(broker: Broker) -> None:
    """So a client that reads the history and then follows the room gets no message twice."""
    subscriber, publisher = RecordingSubscriber(), RecordingPublisher(broker)
    broker.subscribe("lobby", subscriber)

    def talk() -> None:
        for number in upto(1500):
            publisher.begin(Draft("lobby", "alice", "x"))
            publisher.wait_for(number)

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        while not talking.done():
            read = numbers(broker.read_before("lobby", None, 1))
            assert read <= [len(subscriber.messages)]
            assert read <= [broker.last_seq("lobby")]
        talking.result(TIMEOUT)
    assert numbers(subscriber.messages) == upto(1500)
