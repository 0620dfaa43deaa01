"""The tables of a history file: creation, and migration from earlier versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import open_database, refusal
from tests.brokers.wiring import log_of, say, set_topic, texts
from wschat.brokers.base import TOPIC, Retention
from wschat.brokers.sqlite import schema
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.brokers.sqlite.schema import VERSION, check_compatible, migrate
from wschat.errors import UsageError

# Creates a table and then fails.
BROKEN = "CREATE TABLE half (x); CREATE TABLE half (x);"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as made:
        yield made


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def content(path: Path) -> list[str]:
    """Return the version and the content of the file, as another connection sees them."""
    with closing(connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        return [str(version), *database.iterdump()]


def add_steps(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """Add steps, as if there were later versions."""
    monkeypatch.setattr(schema, "_STEPS", [*schema._STEPS, *more])
    monkeypatch.setattr(schema, "VERSION", len(schema._STEPS))


def test_an_empty_file_gets_the_tables_of_this_version_and_an_epoch(path: Path, database: sqlite3.Connection) -> None:
    migrate(database)
    assert not database.in_transaction
    assert content(path)[0] == str(VERSION)
    ((epoch,),) = database.execute("SELECT epoch FROM log").fetchall()
    assert epoch
    for table in ("rooms", "messages", "keys", "rules", "topics"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_migrating_again_changes_nothing(path: Path, database: sqlite3.Connection) -> None:
    migrate(database)
    database.execute("INSERT INTO rooms (name, last) VALUES ('lobby', 7)")
    before = content(path)
    for _ in range(2):
        migrate(database)
        with closing(connect(path)) as another:
            migrate(another)
    assert content(path) == before


def test_no_two_files_have_the_same_epoch(tmp_path: Path) -> None:
    epochs = set()
    for number in range(10):
        with closing(connect(tmp_path / f"{number}.db")) as database:
            migrate(database)
            epochs |= set(database.execute("SELECT epoch FROM log"))
    assert len(epochs) == 10


def test_an_earlier_version_gets_the_missing_steps_and_keeps_its_content(
    path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database)
    database.execute("INSERT INTO rooms (name, last) VALUES ('lobby', 7)")
    epoch = database.execute("SELECT epoch FROM log").fetchall()
    add_steps(monkeypatch, "ALTER TABLE rooms ADD COLUMN topic TEXT;", "UPDATE rooms SET topic = name || ' ' || last;")
    migrate(database)
    assert content(path)[0] == str(VERSION + 2)
    assert database.execute("SELECT name, last, topic FROM rooms").fetchall() == [("lobby", 7, "lobby 7")]
    assert database.execute("SELECT epoch FROM log").fetchall() == epoch


def test_a_history_of_version_1_gets_the_times_of_rooms_and_of_the_last_run(path: Path) -> None:
    with closing(connect(path)) as database:
        database.executescript(schema._STEPS[0])
        database.executescript("""
            INSERT INTO log VALUES ('an epoch'); PRAGMA application_id = 2004050792; PRAGMA user_version = 1;
            INSERT INTO rooms VALUES (1, 'tea', 2), (2, 'coffee', 7);
            INSERT INTO messages VALUES (1, 1, 'alice', 'one', 1700000000.5), (1, 2, 'alice', 'two', 1700000001.5);
        """)
    with closing(connect(path)) as database:
        check_compatible(database, str(path))
        migrate(database)
        assert database.execute("SELECT name, last, time FROM rooms ORDER BY id").fetchall() == [("tea", 2, 1700000001.5), ("coffee", 7, 0)]
        assert database.execute("SELECT * FROM log").fetchall() == [("an epoch", 1700000001.5, 0)]


def test_a_history_of_version_2_has_messages_without_a_kind_and_rooms_without_a_topic(path: Path) -> None:
    with closing(connect(path)) as database:
        database.executescript("".join(schema._STEPS[:2]))
        database.executescript("""
            INSERT INTO log VALUES ('epoch', 1700000002.0, 0); PRAGMA application_id = 2004050792; PRAGMA user_version = 2;
            INSERT INTO rooms VALUES (1, 'tea', 2, 1700000001.5);
            INSERT INTO messages VALUES (1, 1, 'alice', 'one', 1700000000.5), (1, 2, 'alice', 'two', 1700000001.5);
        """)
    with closing(SqliteBroker(path, Retention(days=0))) as broker:
        assert [message[1:] for message in log_of(broker, "tea")] == [
            (1, "alice", "one", 1700000000.5, ""),
            (2, "alice", "two", 1700000001.5, ""),
        ]
        assert broker.topic("tea") is None
        assert set_topic(broker, "tea", "green") == 3
    with closing(SqliteBroker(path, Retention(days=0))) as broker:
        assert [message.kind for message in log_of(broker, "tea")] == ["", "", TOPIC]
        assert broker.topic("tea") == log_of(broker, "tea")[-1]
    assert content(path)[0] == str(VERSION)


def test_a_failing_step_changes_nothing(path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(database)
    before = content(path)
    add_steps(monkeypatch, BROKEN)
    with pytest.raises(sqlite3.Error, match="table half already exists"):
        migrate(database)
    database.close()
    assert content(path) == before


@pytest.mark.parametrize("is_new", [True, False])
def test_if_a_later_step_fails_the_earlier_ones_are_undone(
    path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    if not is_new:
        migrate(database)
    before = content(path)
    add_steps(monkeypatch, "CREATE TABLE whole (x);", BROKEN)
    with pytest.raises(sqlite3.Error, match="table half already exists"):
        migrate(database)
    database.close()
    assert content(path) == before


def test_a_step_that_failed_can_be_tried_again(path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        add_steps(broken, BROKEN)
        with pytest.raises(sqlite3.Error):
            migrate(database)
    database.close()
    add_steps(monkeypatch, "CREATE TABLE half (x);")
    with closing(connect(path)) as again:
        migrate(again)
    assert content(path)[0] == str(VERSION + 1)


def test_a_later_version_is_refused(path: Path, database: sqlite3.Connection) -> None:
    migrate(database)
    database.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = content(path)
    with pytest.raises(
        UsageError, match=rf"the history in a file has version {VERSION + 1}, and this wschat reads versions up to {VERSION}"
    ):
        check_compatible(database, "a file")
    assert content(path) == before


def test_a_database_with_other_tables_is_refused(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE notes (x)")
    before = content(path)
    with pytest.raises(UsageError, match="a file is a database of another application, not a history"):
        check_compatible(database, "a file")
    assert content(path) == before


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one")
    with open_database(path) as database:
        database.execute("PRAGMA user_version = 99")
    assert f"has version 99, and this wschat reads versions up to {VERSION}" in refusal(path)
    with open_database(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)
        database.execute(f"PRAGMA user_version = {VERSION}")
    with closing(SqliteBroker(path)) as broker:
        assert texts(log_of(broker, "lobby")) == ["one"]


@pytest.mark.parametrize("table", ["log", "lines"])
@pytest.mark.parametrize("version", [0, 1, -1, 7])
def test_a_database_of_another_application_is_refused_and_not_changed(path: Path, version: int, table: str) -> None:
    """Version 1 and a table of this name are common."""
    with open_database(path) as database:
        database.executescript(f"CREATE TABLE {table} (line TEXT); PRAGMA user_version = {version};")
        before = list(database.iterdump())
    assert str(path) in refusal(path)
    with open_database(path) as database:
        assert list(database.iterdump()) == before
        assert database.execute("PRAGMA user_version").fetchone() == (version,)


def test_the_journal_mode_of_another_applications_database_is_not_changed(path: Path) -> None:
    """The other application may not be able to use another journal mode."""
    with open_database(path) as database:
        database.execute("CREATE TABLE lines (line TEXT)")
    before = path.read_bytes()
    assert "is a database of another application" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"Not a database,\n" * 100, b"\0" * 4096, b"xy"])
def test_a_file_that_is_not_a_database_is_refused_and_not_changed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in refusal(path)
    assert path.read_bytes() == content
