"""The broker in memory, as far as the contract suite does not test it."""

from __future__ import annotations

from tests.brokers.wiring import RecordingSubscriber, last_numbers, log_of, say, texts
from wschat.brokers.memory import MemoryBroker


def test_a_broker_that_keeps_no_messages_still_numbers_them() -> None:
    broker, subscriber = MemoryBroker(keeps_messages=False), RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one", "two") == [1, 2]
    assert [say(broker, "lobby", "three", key="k"), say(broker, "lobby", "three", key="k")] == [[3], [3]]
    assert texts(subscriber.messages) == ["one", "two", "three"]
    assert log_of(broker, "lobby") == broker.read_before("lobby", None, 5) == []
    assert last_numbers(broker) == {"lobby": 3}
    broker.close()
