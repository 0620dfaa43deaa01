"""Connections to the database, and what happens if its files are removed or replaced."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import descriptors_in
from tests.brokers.wiring import RecordingSubscriber, log_of, say, texts
from tests.concurrency import TIMEOUT, switching_often
from wschat.brokers import write_queue
from wschat.brokers.sqlite import connections
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """Only a power failure would show it: SQLite must sync the file, instead of leaving that to the system."""
    with closing(SqliteBroker(path)) as broker:
        assert broker._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert broker._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_reading_connections_are_read_only(path: Path, broker: SqliteBroker) -> None:
    """Only one thread writes, so no connection waits for a lock or fails to get it."""
    with broker._readers.connection() as database, pytest.raises(sqlite3.OperationalError, match="attempt to write a readonly database"):
        database.execute("DELETE FROM rules")


def test_many_concurrent_reads_use_a_limited_number_of_descriptors(path: Path, tmp_path: Path) -> None:
    """As after a restart, when all clients resume at once."""
    readers = 64
    barrier = threading.Barrier(readers)

    def read(broker: SqliteBroker) -> list[int]:
        barrier.wait(TIMEOUT)
        return [len(log_of(broker, "lobby")) for _ in range(10)]

    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(readers) as pool, switching_often():
        say(broker, "lobby", *["x"] * 1000)
        assert all(found == [1000] * 10 for found in pool.map(read, [broker] * readers))
        assert descriptors_in(tmp_path).count(str(path)) <= 1 + 2 * connections.MAX_READERS


def test_connections_are_lent_to_many_threads_at_once(broker: SqliteBroker) -> None:
    """Without the GIL, another thread may take the last one between a look and a take."""

    def borrow(_: int) -> None:
        for _ in range(500):
            with broker._readers.connection() as database:
                assert database.execute("SELECT 1").fetchone() == (1,)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(borrow, range(8)))


def test_close_closes_all_files(path: Path, tmp_path: Path) -> None:
    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(16) as pool:
        say(broker, "lobby", "one")
        for _ in range(10):
            assert {len(messages) for messages in pool.map(lambda _: log_of(broker, "lobby"), range(100))} == {1}
    assert descriptors_in(tmp_path) == []
    assert {file.name for file in tmp_path.iterdir() if file.stat().st_size} == {"history.db"}


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_while_the_file_is_removed_or_replaced_nothing_is_appended(
    path: Path, broker: SqliteBroker, is_replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.0)
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one") == [1]
    elsewhere = path.rename(path.with_name("elsewhere"))
    if is_replaced:
        path.touch()
    [result] = say(broker, "lobby", "two")
    assert isinstance(result, HistoryUnavailable)
    assert str(result) == "the history cannot be written: its file has been removed or replaced"
    for use in (broker.check, broker.rules, lambda: broker.read_since("lobby", 0, 5)):
        with pytest.raises(HistoryUnavailable, match="the history cannot be used: its file has been removed or replaced"):
            use()
    assert is_replaced or not path.exists()
    elsewhere.replace(path)
    broker.check()
    assert say(broker, "lobby", "three") == [2]
    assert texts(subscriber.messages) == texts(log_of(broker, "lobby")) == ["one", "three"]


def test_while_the_write_ahead_log_is_missing_nothing_is_appended(path: Path, broker: SqliteBroker) -> None:
    assert say(broker, "lobby", "one") == [1]
    log = Path(f"{path}-wal")
    elsewhere = log.rename(path.with_name("elsewhere"))
    [result] = say(broker, "lobby", "two")
    assert isinstance(result, HistoryUnavailable)
    elsewhere.rename(log)
    assert say(broker, "lobby", "three") == [2]
    assert texts(log_of(broker, "lobby")) == ["one", "three"]
