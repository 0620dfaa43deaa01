"""Retention: how many messages of each room are kept, and when a room is deleted."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.brokers.contract.conftest import BrokerFactory
from tests.brokers.wiring import EVERYTHING, SECOND, last_numbers, log_of, numbers, say, set_topic, texts, upto
from tests.concurrency import eventually
from wschat.brokers.base import Result, Retention
from wschat.errors import Rejected


def test_a_key_still_applies_when_its_message_has_been_deleted(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=1))) as broker:
        assert say(broker, "lobby", "one", key="k") == [1]
        for _ in range(10):
            say(broker, "lobby", *["x"] * 60)
        assert say(broker, "lobby", "one", key="k") == [1]
        (result,) = say(broker, "lobby", "another text", key="k")
        assert isinstance(result, Rejected), "the publisher must learn that this text was not appended"
        assert say(broker, "lobby", "x") == [602]


def test_a_topic_is_kept_when_its_entry_has_been_deleted(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=2, days=0.2 * SECOND))) as broker:
        assert set_topic(broker, "lobby", "green") == 1
        topic = broker.topic("lobby")
        say(broker, "lobby", *["x"] * 300)
        eventually(lambda: not log_of(broker, "lobby"))
        say(broker, "lobby", *["x"] * 300)
        assert broker.topic("lobby") == topic
        set_topic(broker, "lobby", "")
        assert broker.topic("lobby") is None


@pytest.mark.parametrize("number", [3, 7, 8, 20, 700])
def test_at_most_the_configured_number_of_messages_is_kept(make_broker: BrokerFactory, number: int) -> None:
    with closing(make_broker(Retention(messages=7))) as broker:
        say(broker, "other", "still there")
        assert say(broker, "lobby", *map(str, upto(number))) == upto(number)
        kept = upto(number)[-7:]
        assert numbers(log_of(broker, "lobby")) == kept
        assert numbers(broker.read_before("lobby", None, EVERYTHING)) == kept
        assert numbers(broker.read_since("lobby", 0, 2)) == kept[:2]
        assert numbers(broker.read_since("lobby", kept[2], 3)) == kept[3:6]
        assert broker.read_before("lobby", kept[0], 5) == []
        assert numbers(broker.read_before("lobby", kept[0] + 1, 5)) == kept[:1]
        assert numbers(broker.read_before("lobby", None, 2)) == kept[-2:]
        assert last_numbers(broker) == {"lobby": number, "other": 1}
        assert texts(log_of(broker, "other")) == ["still there"]


def test_messages_are_kept_for_the_configured_days(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(days=0.2 * SECOND))) as broker:
        assert say(broker, "lobby", "one", "two") == [1, 2]
        eventually(lambda: not log_of(broker, "lobby"))
        assert broker.read_before("lobby", None, 5) == broker.read_since("lobby", 1, 5) == []
        assert last_numbers(broker) == {"lobby": 2}
        newest: list[Result] = []

        def is_shown() -> bool:
            newest[:] = say(broker, "lobby", "new")
            return numbers(broker.read_before("lobby", None, 1)) == newest

        eventually(is_shown)  # at once, unless the machine pauses for longer than messages are kept
        assert last_numbers(broker) == {"lobby": newest[0]}
        assert "one" not in texts(log_of(broker, "lobby"))


def test_without_limits_everything_is_kept(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=0, days=0))) as broker:
        say(broker, "lobby", *map(str, upto(1500)))
        assert numbers(log_of(broker, "lobby")) == upto(1500)


def test_both_limits_apply_together(make_broker: BrokerFactory) -> None:
    with closing(make_broker(Retention(messages=3, days=0.2 * SECOND))) as broker:
        say(broker, "lobby", *map(str, upto(10)))
        assert set(numbers(log_of(broker, "lobby"))) <= {8, 9, 10}
        eventually(lambda: not log_of(broker, "lobby"))
        assert say(broker, "lobby", "x") == [11]
