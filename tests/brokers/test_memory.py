"""The broker in memory, as far as the contract suite does not test it."""

from __future__ import annotations

from tests.brokers.wiring import Listener, last_numbers, log_of, say, texts
from wschat.brokers.memory import MemoryBroker


def test_a_broker_that_keeps_no_messages_numbers_them_all_the_same() -> None:
    broker, listener = MemoryBroker(keeps_messages=False), Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one", "two") == [1, 2]
    assert [say(broker, "lobby", "three", key="k"), say(broker, "lobby", "three", key="k")] == [[3], [3]]
    assert texts(listener.messages) == ["one", "two", "three"]
    assert log_of(broker, "lobby") == broker.read_before("lobby", None, 5) == []
    assert last_numbers(broker) == {"lobby": 3}
    broker.close()
