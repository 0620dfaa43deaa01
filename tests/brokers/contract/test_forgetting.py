"""Forgetting: a room of which nothing is kept any more is deleted, by a clock that is plausible."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from tests.brokers.contract.conftest import BrokerFactory
from tests.brokers.test_clock import DAY, FakeTime
from tests.brokers.wiring import RecordingSubscriber, append, last_numbers, log_of, numbers, say, set_topic, texts, upto
from tests.concurrency import eventually
from wschat.brokers.base import Draft, Retention
from wschat.brokers.sqlite import broker as sqlite


def test_an_old_room_without_messages_and_subscribers_is_deleted(make_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    fake_time = FakeTime(monkeypatch)
    with closing(make_broker(Retention(days=10))) as broker:
        append(broker, *(Draft(room, "alice", f"{number}", f"k{number}") for number in range(3) for room in ("gone", "followed", "busy")))
        set_topic(broker, "gone", "one more")
        subscriber = RecordingSubscriber()
        broker.subscribe("followed", subscriber)
        fake_time.advance(9 * DAY)
        say(broker, "busy", "still here")
        fake_time.advance(1.5 * DAY)

        def rooms() -> list[str]:
            say(broker, "busy", "x")
            broker.count_rooms()
            return list(last_numbers(broker))

        eventually(lambda: rooms() == ["busy", "followed"])
        assert not broker.has_room("gone")
        assert log_of(broker, "gone") == log_of(broker, "followed") == []
        assert broker.last_seq("followed") == 3
        assert append(broker, Draft("gone", "alice", "0", "k0")) == [5], "above all numbers that it ever had"
        assert broker.topic("gone") is None
        (new,) = say(broker, "new", "x")
        assert new == 5, "so does every room created after it"
        assert say(broker, "followed", "x") == [4]
        assert numbers(subscriber.messages) == [4]
        assert numbers(log_of(broker, "gone")) == [5]


def test_no_room_is_deleted_by_an_implausible_clock(make_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    fake_time = FakeTime(monkeypatch)
    with closing(make_broker(Retention(days=10))) as broker:
        say(broker, "tea", "x")
        fake_time.now += 365 * DAY
        for number in upto(20):
            assert say(broker, f"coffee{number}", "x") == [1]
            threading.Event().wait(0.01)  # time for several rounds of maintenance
        assert broker.has_room("tea")
        assert texts(log_of(broker, "tea")) == ["x"]
