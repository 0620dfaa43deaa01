"""The rows that the log writer stores and deletes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import rows_of
from tests.brokers.test_clock import DAY, FakeTime
from tests.brokers.wiring import SECOND, RecordingSubscriber, append, last_numbers, log_of, numbers, say, upto
from wschat.brokers.base import Draft, Retention
from wschat.brokers.sqlite import log_writer
from wschat.brokers.sqlite.broker import SqliteBroker

ALL = Retention(messages=0, days=0)


def test_a_stricter_retention_applies_after_a_restart(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", *map(str, upto(50)))
        say(broker, "other", "one", "two")
    with closing(SqliteBroker(path, Retention(messages=5))) as broker:
        assert numbers(log_of(broker, "lobby")) == upto(50)[-5:]
        assert numbers(log_of(broker, "other")) == [1, 2]
        assert rows_of(path, "messages") == 7
        assert say(broker, "lobby", "x") == [51]
    with closing(SqliteBroker(path, ALL)) as broker:
        assert numbers(log_of(broker, "lobby")) == upto(51)[-6:]


def test_a_room_whose_messages_are_deleted_continues_its_numbers(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one", "two", key=None)
        say(broker, "lobby", "three", key="k")
    for again in range(2):
        with closing(SqliteBroker(path, Retention(days=1e-6 * SECOND))) as broker:
            assert log_of(broker, "lobby") == []
            assert last_numbers(broker) == {"lobby": 3 + again}
            assert say(broker, "lobby", "x") == [4 + again]
            assert say(broker, "lobby", "three", key="k") == [3]


def test_old_messages_are_deleted_from_the_file_at_a_restart(path: Path) -> None:
    """Also in a room without new messages."""
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one", "two")
    with closing(SqliteBroker(path, Retention(days=1e-6 * SECOND))):
        assert rows_of(path, "messages") == 0


def test_numbers_continue_above_those_of_deleted_rooms_after_a_restart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_time = FakeTime(monkeypatch)
    with closing(SqliteBroker(path, Retention(days=10))) as broker:
        say(broker, "tea", "one", "two", key=None)
    for _ in range(11):
        fake_time.advance(0.95 * DAY)
        with closing(SqliteBroker(path, Retention(days=10))) as broker:
            say(broker, "coffee", "x")
    for _ in range(2):
        with closing(SqliteBroker(path, Retention(days=10))) as broker:
            assert list(last_numbers(broker)) == ["coffee"]
            assert (broker.last_seq("tea"), broker.subscribe("tea", RecordingSubscriber())) == (2, 2)
    with closing(SqliteBroker(path, Retention(days=10))) as broker:
        assert say(broker, "tea", "three") == [3]
    assert rows_of(path, "rooms") == 2


def test_deleted_messages_do_not_accumulate_in_the_file(path: Path) -> None:
    with closing(SqliteBroker(path, Retention(messages=10))) as broker:
        for number in range(30):
            say(broker, "lobby", *[f"{number}"] * 100)
        assert rows_of(path, "messages") < 10 + 2 * log_writer._DELETE_INTERVAL
        assert numbers(log_of(broker, "lobby")) == upto(3000)[-10:]


def test_a_limited_number_of_keys_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MAX_KEYS", 20)
    with closing(SqliteBroker(path, Retention(messages=3))) as broker:
        for first in range(1, 1001, 100):
            append(broker, *(Draft("lobby", "alice", "x", key=f"{number}") for number in range(first, first + 100)))
        assert append(broker, *(Draft("lobby", "alice", "x", key=f"{number}") for number in range(981, 1001))) == upto(1000)[-20:]
        assert rows_of(path, "keys") < 20 + 2 * log_writer._DELETE_INTERVAL
        assert numbers(log_of(broker, "lobby")) == [998, 999, 1000]
