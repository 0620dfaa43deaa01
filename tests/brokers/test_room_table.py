"""The rooms in memory, as far as the contract suite does not test them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.brokers.toy import ToyBroker
from tests.brokers.wiring import Listener, say, texts
from wschat.brokers.base import Message


def test_a_room_without_a_log_is_removed_with_its_last_subscriber() -> None:
    broker, listeners = ToyBroker(), [Listener(), Listener()]
    for listener in listeners:
        broker.subscribe("lobby", listener)
    broker.unsubscribe("lobby", listeners[0])
    assert set(broker._rooms) == {"lobby"}
    broker.unsubscribe("lobby", listeners[1])
    assert not broker._rooms


def test_a_subscriber_that_raises_does_not_keep_messages_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Listener):
        def on_messages(self, messages: Sequence[Message]) -> None:
            raise ValueError("a bug in take")

        def flush(self) -> None:
            raise ValueError("a bug in flush")

    broker, listener = ToyBroker(), Listener()
    broker.subscribe("lobby", Failing())
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one") == [1]
    assert (texts(listener.messages), listener.sent) == (["one"], 1)
    assert "a bug in take" in caplog.text
    assert "a bug in flush" in caplog.text


def test_what_needs_the_lock_asserts_it() -> None:
    broker = ToyBroker()
    for call in (lambda: broker._room("lobby"), lambda: broker._deliver({}), lambda: broker._forget_room("lobby")):
        with pytest.raises(AssertionError):
            call()
