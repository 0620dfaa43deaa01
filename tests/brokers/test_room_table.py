"""`RoomTable`, as far as the contract suite does not test it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.brokers.toy import ToyBroker
from tests.brokers.wiring import RecordingSubscriber, say, texts
from wschat.brokers.base import Message


def test_a_room_without_a_log_is_removed_with_its_last_subscriber() -> None:
    broker, subscribers = ToyBroker(), [RecordingSubscriber(), RecordingSubscriber()]
    for subscriber in subscribers:
        broker.subscribe("lobby", subscriber)
    broker.unsubscribe("lobby", subscribers[0])
    assert set(broker._rooms) == {"lobby"}
    broker.unsubscribe("lobby", subscribers[1])
    assert not broker._rooms


def test_a_subscriber_that_raises_does_not_keep_messages_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(RecordingSubscriber):
        def on_messages(self, messages: Sequence[Message]) -> None:
            raise ValueError("a bug in on_messages")

        def flush(self) -> None:
            raise ValueError("a bug in flush")

    broker, subscriber = ToyBroker(), RecordingSubscriber()
    broker.subscribe("lobby", Failing())
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one") == [1]
    assert (texts(subscriber.messages), subscriber.sent) == (["one"], 1)
    assert "a bug in on_messages" in caplog.text
    assert "a bug in flush" in caplog.text


def test_methods_that_need_the_lock_assert_it() -> None:
    broker = ToyBroker()
    for call in (lambda: broker._room("lobby"), lambda: broker._deliver({}), lambda: broker._forget_room("lobby")):
        with pytest.raises(AssertionError):
            call()
