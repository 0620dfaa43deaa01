"""Damaged history files: readable messages are read, and unreadable ones are skipped, logged, and counted."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import NO_TEXT, BlockingPublisher, change, spoil
from tests.brokers.wiring import (
    EVERYTHING,
    RecordingPublisher,
    RecordingSubscriber,
    append,
    last_numbers,
    log_of,
    numbers,
    say,
    texts,
    upto,
)
from wschat.brokers.base import Draft, Retention
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError

SECRET = "text that must not be logged"
BAD_ROWS = {
    "a text that is not UTF-8": NO_TEXT,
    "a text that is a blob": {"text": "x'80'"},
    "a sender that is not UTF-8": {"sender": "CAST(x'ff' AS TEXT)"},
    "a time that is a word": {"time": "'yesterday'"},
    "a time that is not finite": {"time": "9e999"},
}


def wipe_page(path: Path, text: str) -> None:
    """Overwrite the page of the file that contains a text with zeros."""
    content = bytearray(path.read_bytes())
    start = content.index(text.encode()) // 4096 * 4096
    content[start : start + 4096] = bytes(4096)
    path.write_bytes(content)


def file_with_a_page_lost(path: Path, count: int = 500) -> list[int]:
    """Make a file with two rooms, one of which has lost a page. Return its numbers that can still be read."""
    with closing(SqliteBroker(path)) as broker:
        say(broker, "tea", *(f"text {number} {SECRET}" for number in upto(count)))
        say(broker, "coffee", *["x"] * 500)  # enough for pages of its own
    wipe_page(path, f"text {count // 2} ")
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        database.execute("SELECT count(text) FROM messages").fetchall()
    with closing(SqliteBroker(path)) as broker:
        kept = numbers(log_of(broker, "tea"))
    assert count - 150 < len(kept) < count - 5
    return kept


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("bad", [(1,), (5,), (10,), (4, 5, 6), (9, 10)], ids=str)
def test_unreadable_rows_are_skipped(path: Path, broker: SqliteBroker, row: dict[str, str], bad: tuple[int, ...]) -> None:
    say(broker, "lobby", *map(str, upto(10)))
    spoil(path, row, *bad)
    kept = [number for number in upto(10) if number not in bad]
    assert numbers(log_of(broker, "lobby")) == kept
    assert numbers(broker.read_before("lobby", None, EVERYTHING)) == kept
    assert numbers(broker.read_since("lobby", bad[0] - 1, 2)) == [number for number in kept if number > bad[0]][:2]
    assert numbers(broker.read_before("lobby", bad[-1] + 1, 2)) == [number for number in kept if number < bad[-1]][-2:]
    assert say(broker, "lobby", "eleven") == [11]


def test_unreadable_rows_are_counted_and_logged_once_without_their_text(
    path: Path, broker: SqliteBroker, caplog: pytest.LogCaptureFixture
) -> None:
    say(broker, "lobby", "one", SECRET, "three")
    spoil(path, NO_TEXT, 2)
    assert broker.check() == 0
    for _ in range(3):
        assert texts(log_of(broker, "lobby")) == ["one", "three"]
    assert broker.check() == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        f"1 messages of lobby in {path} cannot be read and are left out: 2"
    ]
    assert SECRET not in caplog.text


def test_all_other_messages_of_a_file_that_has_lost_a_page_are_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = file_with_a_page_lost(path)
    with closing(SqliteBroker(path)) as broker:
        backward = broker.read_before("tea", None, EVERYTHING)
        while more := broker.read_before("tea", backward[0].seq, 50):
            backward[:0] = more
        assert numbers(backward) == kept
        assert broker.check() == 500 - len(kept)
        assert say(broker, "tea", "next") == [501]
    assert SECRET not in caplog.text


def test_a_room_that_cannot_be_written_does_not_affect_others(path: Path) -> None:
    file_with_a_page_lost(path)
    wipe_page(path, "text 500 ")
    with closing(SqliteBroker(path)) as broker:
        subscriber, publisher, blocker = RecordingSubscriber(), RecordingPublisher(broker), BlockingPublisher(broker)
        broker.subscribe("coffee", subscriber)
        blocker.block()
        publisher.begin(*(Draft(room, "alice", text) for text in ("two", "three") for room in ("tea", "coffee")))
        blocker.release()
        results = publisher.wait_for(4)
        by_text = {(draft.room, draft.text): result for draft, result in publisher.outcomes}
        assert (by_text["coffee", "two"], by_text["coffee", "three"]) == (501, 502), results
        assert isinstance(by_text["tea", "two"], HistoryUnavailable)
        assert texts(subscriber.messages) == ["two", "three"]


def test_messages_that_cannot_be_deleted_do_not_prevent_new_ones(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file_with_a_page_lost(path)
    with closing(SqliteBroker(path, Retention(messages=100))) as broker:
        assert "cannot be deleted" in caplog.text
        assert say(broker, "tea", *["x"] * 600) == list(range(501, 1101))
        assert numbers(log_of(broker, "tea")) == list(range(1001, 1101))


@pytest.mark.parametrize("change_of_key", ["seq = 'seven'", "digest = 7", "seq = 1.5"])
def test_an_invalid_key_does_not_prevent_new_messages(path: Path, broker: SqliteBroker, change_of_key: str) -> None:
    assert say(broker, "lobby", "one", key="k") == [1]
    change(path, f"UPDATE keys SET {change_of_key}")
    assert append(broker, Draft("lobby", "alice", "other"), Draft("lobby", "alice", "one", "k")) == [2, 3]
    assert say(broker, "lobby", "one", key="k") == [3]


@pytest.mark.parametrize("change_of_room", ["name = CAST(x'ff' AS TEXT)", "last = 'seven'"])
def test_an_unreadable_room_does_not_affect_the_others(path: Path, caplog: pytest.LogCaptureFixture, change_of_room: str) -> None:
    with closing(SqliteBroker(path)) as broker:
        append(broker, Draft("tea", "alice", "one"), Draft("coffee", "alice", "one"))
    change(path, f"UPDATE rooms SET {change_of_room} WHERE name = 'tea'")
    with closing(SqliteBroker(path)) as broker:
        assert say(broker, "coffee", "two") == [2]
        assert [room for room in last_numbers(broker) if room != "tea"] == ["coffee"]
    assert "cannot be read and is left out" in caplog.text


@pytest.mark.parametrize("damage", ["DELETE FROM log", "UPDATE log SET epoch = CAST(x'ff' AS TEXT)", "DROP TABLE log"])
def test_a_file_that_has_lost_its_epoch_is_refused(path: Path, damage: str) -> None:
    SqliteBroker(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(damage)
    with pytest.raises(UsageError, match="cannot keep a history in"):
        SqliteBroker(path)


@pytest.mark.parametrize("value", ["'yesterday'", "x'ff'", "9e999"])
def test_an_invalid_time_of_the_last_run_is_ignored(path: Path, value: str) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "tea", "one")
    change(path, f"UPDATE log SET seen = {value}")
    change(path, f"UPDATE rooms SET time = {value}")
    with closing(SqliteBroker(path)) as broker:
        assert say(broker, "tea", "two") == [2]
        assert texts(log_of(broker, "tea")) == ["one", "two"]


def test_a_room_whose_last_number_is_too_small_continues_after_its_messages(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "tea", "one", "two", "three")
    change(path, "UPDATE rooms SET last = 1")
    with closing(SqliteBroker(path)) as broker:
        assert last_numbers(broker) == {"tea": 3}
        assert say(broker, "tea", "four") == [4]


def test_an_unreadable_file_is_unavailable_and_logged(path: Path, broker: SqliteBroker, caplog: pytest.LogCaptureFixture) -> None:
    say(broker, "lobby", "one")
    change(path, "ALTER TABLE messages RENAME TO gone")
    with pytest.raises(HistoryUnavailable, match="no such table"):
        broker.read_since("lobby", 0, 5)
    assert f"{path} cannot be read: no such table: messages" in caplog.text
