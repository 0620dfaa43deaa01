"""A copy of a history: of one moment, whole, and never over another file."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import open_database
from tests.brokers.wiring import RecordingPublisher, log_of, numbers, say, set_topic, topic_text, upto
from wschat.brokers.base import Draft, Rule
from wschat.brokers.sqlite.backup import back_up
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import UsageError


def test_a_copy_has_all_that_the_history_has(path: Path, broker: SqliteBroker, tmp_path: Path) -> None:
    say(broker, "tea", "one", "two", key=None)
    set_topic(broker, "tea", "green")
    broker.set_rules([Rule("tea", "ban", "mallory", 0.0, "alice")])
    assert back_up(path, tmp_path / "copy") == 3
    assert [file.name for file in tmp_path.iterdir() if "copy" in file.name] == ["copy"], "one file, and no rest"
    with closing(SqliteBroker(tmp_path / "copy")) as copy:
        assert log_of(copy, "tea") == log_of(broker, "tea")
        assert (topic_text(copy, "tea"), copy.rules(), copy.epoch) == ("green", broker.rules(), broker.epoch)
        assert say(copy, "tea", "four") == [4]


def test_a_copy_that_is_made_while_messages_are_appended_has_the_first_ones(path: Path, broker: SqliteBroker, tmp_path: Path) -> None:
    is_over, publisher = threading.Event(), RecordingPublisher(broker)

    def talk() -> int:
        number = 0
        while not is_over.is_set():
            number += 1
            publisher.begin(Draft("tea", "alice", "x" * 1000))
            publisher.wait_for(number)
        return number

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        try:
            copied = [back_up(path, tmp_path / f"copy{number}") for number in range(5)]
        finally:
            is_over.set()
        assert copied == sorted(copied)
        assert copied[-1] <= talking.result()
    for number, count in enumerate(copied):
        with closing(SqliteBroker(tmp_path / f"copy{number}")) as copy:
            assert numbers(log_of(copy, "tea")) == upto(count)


def test_nothing_is_overwritten(path: Path, broker: SqliteBroker, tmp_path: Path) -> None:
    for name in ("file", "link"):
        (tmp_path / name).symlink_to("nowhere") if name == "link" else (tmp_path / name).write_text("precious")
        with pytest.raises(UsageError, match=f"{name} exists already"):
            back_up(path, tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(UsageError, match="exists already"):
        back_up(path, path)


def test_what_is_no_history_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE t (x)")
    for name, error in {"missing": "there is no history", "text": "cannot copy", "other": "of another application"}.items():
        with pytest.raises(UsageError, match=error):
            back_up(tmp_path / name, tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))


def test_a_copy_that_cannot_be_written_is_an_error(path: Path, broker: SqliteBroker, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot (copy|write)"):
        back_up(path, tmp_path / "missing" / "copy")


def test_a_damaged_history_is_not_copied_in_silence(path: Path, broker: SqliteBroker, tmp_path: Path) -> None:
    say(broker, "tea", *["x" * 2000] * 200)
    with open_database(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(10 * 4096)
        file.write(b"\xff" * 4096 * 20)
    with pytest.raises(UsageError, match=r"cannot copy .*(damaged|malformed)"):
        back_up(path, tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))
