"""The log in a file: what outlives the process, however that ends, and what becomes of those who find the file out of order."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from stat import S_IMODE
from time import monotonic

import pytest

from tests.brokers.test_clock import DAY, Hands
from tests.brokers.wiring import (
    EVERYTHING,
    SECOND,
    TEXTS,
    Listener,
    Speaker,
    append,
    last_numbers,
    log_of,
    numbers,
    say,
    switching_often,
    texts,
    upto,
)
from tests.connection.wiring import PATIENCE, eventually
from wschat.brokers.base import Draft, Message, Outcome, Retention, Rule
from wschat.brokers.sqlite import broker as sqlite
from wschat.brokers.sqlite import connections, log_writer, write_queue
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError

ALL = Retention(messages=0, days=0)


@contextmanager
def looking_into(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        yield database


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program is writing to the file, and does not come to an end."""
    with looking_into(path) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def rows_of(path: Path, table: str) -> int:
    with looking_into(path) as database:
        (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def refusal(path: Path) -> str:
    """Why there can be no history in this place. Nothing of it stays open."""
    with pytest.raises(UsageError) as caught:
        SqliteBroker(path).close()
    assert not descriptors_in(path.parent)
    return str(caught.value)


def descriptors_in(folder: Path) -> list[str]:
    """The files of a folder that this process has open, where the system says so."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue  # the one that `glob` had
        if target.startswith(f"{folder}{os.sep}"):
            found.append(target)
    return found


def in_another_process(action: Callable[..., None], *arguments: object) -> list[str]:
    """The command that does this."""
    code = f"from {action.__module__} import {action.__name__} as act; act({', '.join(map(repr, arguments))})"
    return [sys.executable, "-c", code]


def top() -> Path:
    """From where the tests can be imported."""
    return Path(__file__).parents[3]


class Gate(Speaker):
    """An author that keeps the broker waiting, against the rule, so that what is appended meanwhile gathers."""

    def __init__(self, broker: SqliteBroker) -> None:
        super().__init__(broker)
        self._opened = threading.Event()
        self._reached = threading.Event()

    def settled(self, outcomes: list[Outcome]) -> None:
        self._reached.set()
        assert self._opened.wait(PATIENCE)
        super().settled(outcomes)

    def shut(self, room: str = "gate") -> None:
        self.begin(Draft(room, "gate", "shut"))
        assert self._reached.wait(PATIENCE)

    def open(self) -> None:
        self._opened.set()


# A file that is opened again


def test_everything_outlives_a_restart(path: Path) -> None:
    rules = [Rule("lobby", "ban", "mallory\0", 0.0, "alice"), Rule("lobby", "mute", "trent", 1e10 + 0.5, "alice")]
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
        append(broker, *(Draft("lobby", text, text, key=text) for text in TEXTS))
        say(broker, "other", "one", "two")
        for rule in rules:
            broker.set_rules([rule])
        broker.enter("lobby", "alice")
        said = [log_of(broker, "lobby"), log_of(broker, "other")]
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch == epoch
        assert [log_of(broker, "lobby"), log_of(broker, "other")] == said
        assert last_numbers(broker) == {"lobby": len(TEXTS), "other": 2}
        assert broker.subscribe("lobby", Listener()) == len(TEXTS)
        assert append(broker, *(Draft("lobby", text, text, key=text) for text in TEXTS)) == upto(len(TEXTS))
        assert append(broker, Draft("lobby", "alice", "x"), Draft("other", "alice", "x")) == [len(TEXTS) + 1, 3]
        assert broker.rules() == rules
        broker.lift_rules([Rule("lobby", "ban", "mallory\0", 0.0, "")])
        assert broker.members("lobby") == []
    with closing(SqliteBroker(path)) as broker:
        assert broker.rules() == rules[1:]
        assert broker.epoch == epoch


def test_another_file_has_another_epoch(tmp_path: Path) -> None:
    with closing(SqliteBroker(tmp_path / "one.db")) as one, closing(SqliteBroker(tmp_path / "other.db")) as other:
        assert one.epoch != other.epoch


def test_a_log_that_was_lost_begins_another_epoch(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
    path.unlink()
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch != epoch


def test_a_stricter_retention_holds_from_the_next_start(path: Path) -> None:
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


def test_a_room_of_which_nothing_is_kept_counts_on(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one", "two", key=None)
        say(broker, "lobby", "three", key="k")
    for again in range(2):
        with closing(SqliteBroker(path, Retention(days=1e-6 * SECOND))) as broker:
            assert log_of(broker, "lobby") == []
            assert last_numbers(broker) == {"lobby": 3 + again}
            assert say(broker, "lobby", "x") == [4 + again]
            assert say(broker, "lobby", "three", key="k") == [3]


def test_what_is_too_old_is_not_in_the_file_after_a_restart(path: Path) -> None:
    """Whoever says that messages are kept for so many days has a room in mind that has gone quiet, above all."""
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one", "two")
    with closing(SqliteBroker(path, Retention(days=1e-6 * SECOND))):
        assert rows_of(path, "messages") == 0


def test_numbers_go_on_above_those_of_forgotten_rooms_after_a_restart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    with closing(SqliteBroker(path, Retention(days=10))) as broker:
        say(broker, "tea", "one", "two", key=None)
    for _ in range(11):
        hands.go_on(0.95 * DAY)
        with closing(SqliteBroker(path, Retention(days=10))) as broker:
            say(broker, "coffee", "x")
    for _ in range(2):
        with closing(SqliteBroker(path, Retention(days=10))) as broker:
            assert list(last_numbers(broker)) == ["coffee"]
            assert (broker.last_number("tea"), broker.subscribe("tea", Listener())) == (2, 2)
    with closing(SqliteBroker(path, Retention(days=10))) as broker:
        assert say(broker, "tea", "three") == [3]
    assert rows_of(path, "rooms") == 2


def test_what_is_too_old_does_not_stay_in_the_file_of_a_server_that_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    hands = Hands(monkeypatch)
    with closing(SqliteBroker(path, Retention(days=0.5))) as broker:
        append(broker, *(Draft(f"room{number}", "alice", "x") for number in range(500)))
        hands.go_on(0.6 * DAY)
        eventually(lambda: rows_of(path, "messages") == 0)
        assert broker.count_rooms() == 500
        hands.go_on(0.6 * DAY)
        eventually(lambda: broker.count_rooms() == 0)
        assert (rows_of(path, "rooms"), rows_of(path, "keys")) == (0, 0)


def test_what_is_not_kept_any_more_does_not_pile_up_in_the_file(path: Path) -> None:
    with closing(SqliteBroker(path, Retention(messages=10))) as broker:
        for number in range(30):
            say(broker, "lobby", *[f"{number}"] * 100)
        assert rows_of(path, "messages") < 10 + 2 * log_writer._DELETE_INTERVAL
        assert numbers(log_of(broker, "lobby")) == upto(3000)[-10:]


def test_keys_are_remembered_for_so_many_messages_and_do_not_pile_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MAX_KEYS", 20)
    with closing(SqliteBroker(path, Retention(messages=3))) as broker:
        for first in range(1, 1001, 100):
            append(broker, *(Draft("lobby", "alice", "x", key=f"{number}") for number in range(first, first + 100)))
        assert append(broker, *(Draft("lobby", "alice", "x", key=f"{number}") for number in range(981, 1001))) == upto(1000)[-20:]
        assert rows_of(path, "keys") < 20 + 2 * log_writer._DELETE_INTERVAL
        assert numbers(log_of(broker, "lobby")) == [998, 999, 1000]


# Whose file it is


def test_a_file_that_is_in_use_is_refused_until_it_is_closed(path: Path) -> None:
    with closing(SqliteBroker(path)) as first:
        with pytest.raises(UsageError, match=r"the history in .*history\.db is in use by another server"):
            SqliteBroker(path).close()
        assert say(first, "lobby", "one") == [1]
    with closing(SqliteBroker(path)) as second:
        assert say(second, "lobby", "two") == [2]


def test_a_file_that_is_in_use_is_refused_by_any_name(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.db").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    with closing(SqliteBroker(path)):
        for name in ("history.db", f"../{tmp_path.name}/history.db", "link.db"):
            with pytest.raises(UsageError, match="is in use by another server"):
                SqliteBroker(name).close()


def test_a_name_means_what_it_meant_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that go into the background change to another directory."""
    (tmp_path / "start").mkdir()
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    with closing(SqliteBroker("history.db")) as broker:
        monkeypatch.chdir(tmp_path / "later")
        assert say(broker, "lobby", "one") == [1]
        assert texts(log_of(broker, "lobby")) == ["one"]
    assert list((tmp_path / "later").iterdir()) == []


def test_a_name_that_means_something_to_sqlite_is_a_file_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:history.db?mode=memory", "a b%20c"):
        with closing(SqliteBroker(name)) as broker:
            assert say(broker, "lobby", "one") == [1]
            assert texts(log_of(broker, "lobby")) == ["one"]
        assert (tmp_path / name).stat().st_size


def test_only_its_owner_can_read_what_we_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "history.db"
    before = os.umask(0)
    try:
        with closing(SqliteBroker(path)) as broker:
            say(broker, "lobby", "one")
            log_of(broker, "lobby")
            modes = {file.name: S_IMODE(file.stat().st_mode) for file in path.parent.iterdir() if file.stat().st_size}
    finally:
        os.umask(before)
    assert modes["history.db"] == 0o600
    assert set(modes.values()) == {0o600}, "what is not in the file yet is beside it"
    assert S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_mode_that_somebody_gave_the_file_stays(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    with closing(SqliteBroker(path)):
        assert S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        say(broker, "lobby", "one")
    with looking_into(path) as database:
        database.execute("PRAGMA user_version = 99")
    assert "has version 99, and this wschat reads versions up to 2" in refusal(path)
    with looking_into(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)
        database.execute("PRAGMA user_version = 2")
    with closing(SqliteBroker(path)) as broker:
        assert texts(log_of(broker, "lobby")) == ["one"]


@pytest.mark.parametrize("table", ["log", "lines"])
@pytest.mark.parametrize("version", [0, 1, -1, 7])
def test_a_database_of_something_else_is_refused_and_nothing_is_put_into_it(path: Path, version: int, table: str) -> None:
    """1 is what many programs call their first version, and many have a table of that name."""
    with looking_into(path) as database:
        database.executescript(f"CREATE TABLE {table} (line TEXT); PRAGMA user_version = {version};")
        before = list(database.iterdump())
    assert str(path) in refusal(path)
    with looking_into(path) as database:
        assert list(database.iterdump()) == before
        assert database.execute("PRAGMA user_version").fetchone() == (version,)


def test_a_database_of_something_else_is_left_as_it_was(path: Path) -> None:
    """Not even its journal is turned into another kind: whoever it belongs to may not be able to use that."""
    with looking_into(path) as database:
        database.execute("CREATE TABLE lines (line TEXT)")
    before = path.read_bytes()
    assert "is a database of another application" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"Dear diary,\n" * 100, b"\0" * 4096, b"xy"])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in refusal(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_as_good_as_none(path: Path) -> None:
    path.touch()
    with closing(SqliteBroker(path)) as broker:
        assert say(broker, "lobby", "one") == [1]


def test_a_place_in_which_there_can_be_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "folder", tmp_path / "file" / "history.db", tmp_path / "loop", tmp_path / ("x" * 300)):
        assert f"cannot keep a history in {path}: " in refusal(path)


def test_after_the_end_nothing_is_open(path: Path, tmp_path: Path) -> None:
    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(16) as pool:
        say(broker, "lobby", "one")
        for _ in range(10):
            assert {len(messages) for messages in pool.map(lambda _: log_of(broker, "lobby"), range(100))} == {1}
    assert descriptors_in(tmp_path) == []
    assert {file.name for file in tmp_path.iterdir() if file.stat().st_size} == {"history.db"}


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """Only a power cut would show it: SQLite has to ask the disk, and not leave it to the system."""
    with closing(SqliteBroker(path)) as broker:
        assert broker._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert broker._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_one_thread_writes_and_no_other(path: Path, broker: SqliteBroker) -> None:
    """So nothing here ever waits for a lock, nor fails for want of it."""
    with broker._readers.connection() as database, pytest.raises(sqlite3.OperationalError, match="attempt to write a readonly database"):
        database.execute("DELETE FROM rules")


def test_many_who_read_at_once_do_not_use_up_the_descriptors(path: Path, tmp_path: Path) -> None:
    """As after a restart, when everybody comes back and wants to know what was said meanwhile."""
    readers = 64
    together = threading.Barrier(readers)

    def read(broker: SqliteBroker) -> list[int]:
        together.wait(PATIENCE)
        return [len(log_of(broker, "lobby")) for _ in range(10)]

    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(readers) as pool, switching_often():
        say(broker, "lobby", *["x"] * 1000)
        assert all(found == [1000] * 10 for found in pool.map(read, [broker] * readers))
        assert descriptors_in(tmp_path).count(str(path)) <= 1 + 2 * connections.MAX_READERS


# Writing


def test_nothing_is_delivered_that_is_not_in_the_file(path: Path, broker: SqliteBroker) -> None:
    found: list[tuple[Message, tuple[str, str] | None]] = []
    with looking_into(path) as database:

        class Checking(Listener):
            def take(self, messages: Sequence[Message]) -> None:
                for message in messages:
                    row = database.execute("SELECT sender, text FROM messages WHERE seq = ?", (message.seq,)).fetchone()
                    found.append((message, row))

        broker.subscribe("lobby", Checking())
        append(broker, *(Draft("lobby", "alice", f"{number}") for number in range(500)))
    assert [row for _, row in found] == [("alice", f"{number}") for number in range(500)]
    assert all(message[2:4] == row for message, row in found)


def test_what_waits_becomes_durable_together(broker: SqliteBroker) -> None:
    """The busier it is, the less a message costs: what gathers while the disk works is one transaction, and one delivery."""
    deliveries: list[list[int]] = []

    class Counting(Listener):
        def take(self, messages: Sequence[Message]) -> None:
            deliveries.append(numbers(messages))

    broker.subscribe("lobby", Counting())
    gate, speaker = Gate(broker), Speaker(broker)
    gate.shut()
    speaker.begin(*(Draft("lobby", "alice", f"{number}", key=f"{number % 150}") for number in range(150)))
    speaker.begin(*(Draft("lobby", "bob", f"{number}", key=f"{number % 150}") for number in range(150)))
    assert deliveries == []
    gate.open()
    assert speaker.wait_for(300) == upto(150) * 2
    assert deliveries == [upto(150)]


def test_more_than_one_transaction_takes_is_appended_all_the_same(broker: SqliteBroker) -> None:
    speaker, listener = Speaker(broker), Listener()
    broker.subscribe("lobby", listener)
    gate = Gate(broker)
    gate.shut()
    total = 2 * write_queue.MAX_BATCH + 500
    speaker.begin(*(Draft("lobby", "alice", f"{number}") for number in range(total)))
    gate.open()
    assert speaker.wait_for(total) == upto(total)
    assert numbers(listener.messages) == upto(total)


def test_one_who_appends_waits_while_far_too_much_is_waiting(broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 10)
    speaker, gate = Speaker(broker), Gate(broker)
    waiting: list[int] = []
    gate.shut()

    def talk(thread: int) -> None:
        for number in range(100):
            speaker.begin(Draft("lobby", f"{thread}", f"{number}"))
            waiting.append(len(broker._queue._messages))

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(talk, thread) for thread in range(4)]
        eventually(lambda: len(waiting) >= 10)
        assert not any(task.done() for task in tasks)
        gate.open()
        for task in tasks:
            task.result(PATIENCE)
    assert sorted(number for number in speaker.wait_for(400) if isinstance(number, int)) == upto(400)
    assert max(waiting) == 10
    for thread in range(4):
        said = [message for message in log_of(broker, "lobby") if message.sender == f"{thread}"]
        assert texts(said) == [f"{number}" for number in range(100)]


def test_at_the_end_what_waits_is_appended_even_if_it_is_much(path: Path) -> None:
    broker = SqliteBroker(path)
    speaker, gate = Speaker(broker), Gate(broker)
    gate.shut()
    speaker.begin(*(Draft("lobby", "alice", f"{number}") for number in range(2500)))
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(broker.close)
        eventually(lambda: broker._queue.is_closed)
        assert not closed.done()
        gate.open()
        closed.result(PATIENCE)
    assert speaker.wait_for(2500) == upto(2500)
    with closing(SqliteBroker(path)) as broker:
        assert texts(log_of(broker, "lobby")) == [f"{number}" for number in range(2500)]


def test_nobody_who_appends_at_the_end_is_left_without_a_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it waits for its turn, or is just about to append, or comes too late."""
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 5)
    broker = SqliteBroker(path)
    speaker, gate = Speaker(broker), Gate(broker)
    gate.shut()
    begun: list[int] = []

    def talk() -> str:
        while True:
            try:
                speaker.begin(Draft("lobby", "alice", "x"))
            except HistoryUnavailable as error:
                return str(error)
            begun.append(1)

    with ThreadPoolExecutor(5) as pool:
        tasks = [pool.submit(talk) for _ in range(4)]
        eventually(lambda: len(broker._queue._messages) == 5)
        closed = pool.submit(broker.close)
        assert {task.result(PATIENCE) for task in tasks} == {"the history is closed"}
        gate.open()
        closed.result(PATIENCE)
    assert speaker.wait_for(len(begun)) == upto(len(begun))
    with pytest.raises(HistoryUnavailable):
        speaker.begin(Draft("lobby", "alice", "x"))
    with closing(SqliteBroker(path)) as broker:
        assert last_numbers(broker) == {"gate": 1, "lobby": len(begun)}


# Who else wants something of the file


def test_who_checks_sets_rules_reads_and_talks_never_competes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock of SQLite's: with no time at all to wait for one, nothing fails."""
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.0)
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.0)
    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(4) as pool:
        is_over = threading.Event()

        def again_and_again(action: Callable[[], object]) -> int:
            times = 0
            while not is_over.is_set():
                action()
                times += 1
            return times

        rule = Rule("lobby", "ban", "mallory", 0.0, "alice")
        actions = (broker.check, lambda: broker.set_rules([rule]), lambda: broker.lift_rules([rule]), lambda: log_of(broker, "lobby"))
        tasks = [pool.submit(again_and_again, action) for action in actions]
        try:
            for number in upto(200):
                assert say(broker, "lobby", "x") == [number]
        finally:
            is_over.set()
        assert all(task.result(PATIENCE) for task in tasks)


def test_many_who_ask_whether_it_can_be_written_cost_one_write_a_second(path: Path, broker: SqliteBroker) -> None:
    began_at = monotonic()
    with looking_into(path) as database, ThreadPoolExecutor(8) as pool:

        def writes() -> int:
            (version,) = database.execute("PRAGMA data_version").fetchone()  # which changes with each commit of another
            return int(version)

        before = writes()
        found = set()
        for _ in range(50):
            list(pool.map(lambda _: broker.check(), range(8)))
            found.add(writes())
        assert len(found - {before}) <= 1 + (monotonic() - began_at)


def test_what_a_check_has_found_is_not_held_to_for_longer(path: Path, broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.02)
    broker.check()
    elsewhere = path.rename(path.with_name("elsewhere"))

    def is_ready() -> bool:
        try:
            broker.check()
        except HistoryUnavailable:
            return False
        return True

    eventually(lambda: not is_ready())
    elsewhere.replace(path)
    eventually(is_ready)


def test_a_message_waits_while_another_program_holds_the_file(path: Path, broker: SqliteBroker) -> None:
    """A backup, or somebody at a shell, takes seconds."""
    speaker = Speaker(broker)
    with locked(path):
        speaker.begin(Draft("lobby", "alice", "one"))
        threading.Event().wait(2.5)  # nothing to wait for: that it is long is the point
        assert speaker.outcomes == []
    assert speaker.wait_for(1) == [1]


# When the file cannot be used


def test_a_lock_that_another_program_lets_go_of_soon_only_delays(path: Path, broker: SqliteBroker) -> None:
    speaker = Speaker(broker)
    with locked(path):
        speaker.begin(Draft("lobby", "alice", "one"))
        eventually(lambda: not broker._queue._messages)
    assert speaker.wait_for(1) == [1]


def test_while_another_program_has_locked_the_file_nothing_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.05)
    with closing(SqliteBroker(path)) as broker:
        listener = Listener()
        for room in ("lobby", "new"):
            broker.subscribe(room, listener)
        assert say(broker, "lobby", "one") == [1]
        with locked(path):
            drafts = [Draft("lobby", "alice", "two", "k"), Draft("new", "alice", "three"), Draft("lobby", "alice", "four")]
            results = append(broker, *drafts)
            assert [str(result) for result in results] == ["the history cannot be written: database is locked"] * 3
            assert all(isinstance(result, HistoryUnavailable) for result in results)
            assert texts(log_of(broker, "lobby")) == texts(listener.messages) == ["one"], "who only reads does not notice"
            assert last_numbers(broker) == {"lobby": 1}
            with pytest.raises(HistoryUnavailable, match="database is locked"):
                broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
            assert broker.rules() == []
        assert f"cannot be kept in {path}: database is locked" in caplog.text
        assert append(broker, *drafts) == [2, 1, 3]
        assert texts(log_of(broker, "lobby")) == ["one", "two", "four"]
        assert texts(listener.messages) == ["one", "two", "three", "four"] or texts(listener.messages) == ["one", "two", "four", "three"]
        broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
        assert len(broker.rules()) == 1


def test_a_file_that_another_program_has_damaged_is_unavailable_until_it_is_mended(path: Path, broker: SqliteBroker) -> None:
    listener = Listener()
    broker.subscribe("lobby", listener)
    assert say(broker, "lobby", "one") == [1]
    with looking_into(path) as database:
        database.executescript("ALTER TABLE messages RENAME TO gone; ALTER TABLE rules RENAME TO gone_too;")
        assert {type(result) for result in [*say(broker, "lobby", "two"), *say(broker, "new", "two")]} == {HistoryUnavailable}
        for read in (lambda: broker.read_since("lobby", 0, 5), lambda: broker.read_before("lobby", None, 5), lambda: broker.rules()):
            with pytest.raises(HistoryUnavailable, match="the history cannot be used: no such table"):
                read()
        with pytest.raises(HistoryUnavailable):
            broker.lift_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
        database.executescript("ALTER TABLE gone RENAME TO messages; ALTER TABLE gone_too RENAME TO rules;")
    assert [say(broker, "lobby", "two"), say(broker, "new", "two")] == [[2], [1]]
    assert texts(listener.messages) == texts(log_of(broker, "lobby")) == ["one", "two"]
    assert texts(log_of(broker, "new")) == ["two"]
    assert broker.rules() == []


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_while_the_file_is_not_in_its_place_nothing_is_said(
    path: Path, broker: SqliteBroker, is_replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.0)
    listener = Listener()
    broker.subscribe("lobby", listener)
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
    assert texts(listener.messages) == texts(log_of(broker, "lobby")) == ["one", "three"]


def test_without_what_has_yet_to_be_put_into_the_file_nothing_is_said(path: Path, broker: SqliteBroker) -> None:
    assert say(broker, "lobby", "one") == [1]
    log = Path(f"{path}-wal")
    elsewhere = log.rename(path.with_name("elsewhere"))
    [result] = say(broker, "lobby", "two")
    assert isinstance(result, HistoryUnavailable)
    elsewhere.rename(log)
    assert say(broker, "lobby", "three") == [2]
    assert texts(log_of(broker, "lobby")) == ["one", "three"]


def test_a_full_disk_loses_nothing_and_is_no_end(path: Path) -> None:
    subprocess.run(in_another_process(fill_the_disk, str(path)), cwd=top(), check=True, timeout=PATIENCE * 2)
    with closing(SqliteBroker(path)) as broker:
        messages = log_of(broker, "lobby")
        assert numbers(messages) == upto(len(messages))
        assert [message.text.strip("x") for message in messages] == [f"{number} " for number in range(len(messages))]
        assert say(broker, "lobby", "next") == [len(messages) + 1]


def fill_the_disk(path: str) -> None:
    """The test above, in a process of its own: a limit on the size of files is as good as a full disk, and is the process's."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    listener = Listener()
    with closing(SqliteBroker(path)) as broker:

        def talk(number: int) -> int | None:
            (result,) = say(broker, "lobby", f"{number} " + "x" * 30_000, key=f"{number}")
            assert isinstance(result, (int, HistoryUnavailable))
            return result if isinstance(result, int) else None

        broker.subscribe("lobby", listener)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
        said = 0
        while talk(said):
            said += 1
        assert said, "the limit is too low to show anything"
        refused = range(said, said + 5)
        assert [talk(number) for number in refused] == [None] * 5
        assert numbers(listener.messages) == numbers(log_of(broker, "lobby")) == upto(said)
        assert last_numbers(broker) == {"lobby": said}
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert [talk(number) for number in refused] == [number + 1 for number in refused]
        assert [talk(number) for number in range(said)] == upto(said), "their keys are known"
        assert numbers(listener.messages) == numbers(log_of(broker, "lobby")) == upto(said + 5)


# When the process ends in the middle


def test_what_was_acknowledged_is_there_after_a_kill(path: Path) -> None:
    chance = random.Random(1)
    acknowledged: list[tuple[str, str, int]] = []
    for life in range(4):
        command = in_another_process(talk_until_killed, str(path), life)
        with subprocess.Popen(command, cwd=top(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                lines = [process.stdout.readline() for _ in range(chance.randint(1, 400))]
                with pytest.raises(UsageError, match="is in use by another server"):
                    SqliteBroker(path).close()
            finally:
                process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        acknowledged += [(room, key, int(seq)) for room, key, seq in map(str.split, lines)]
    with closing(SqliteBroker(path, ALL)) as broker:
        log = {room: broker.read_since(room, 0, EVERYTHING) for room in ("a", "b")}
        for messages in log.values():
            assert numbers(messages) == upto(len(messages))
            assert len(set(texts(messages))) == len(messages)
        assert {room for room, _, _ in acknowledged} == {"a", "b"}
        for room, key, seq in acknowledged:
            assert log[room][seq - 1].text == key
        # Whoever was not told in time says it once more.
        assert append(broker, *(Draft(room, "again", key, key) for room, key, _ in acknowledged)) == [seq for _, _, seq in acknowledged]


def talk_until_killed(path: str, life: int) -> None:
    """For a process of its own: append without end, and write a line for each message that is acknowledged."""
    broker = SqliteBroker(path, ALL)

    class Printing:
        def settled(self, outcomes: list[Outcome]) -> None:
            for draft, result in outcomes:
                os.write(1, f"{draft.room} {draft.key} {result}\n".encode())  # at once, and whole

    author = Printing()

    def talk(thread: int) -> None:
        for number in count():
            key = f"{life}-{thread}-{number}"
            broker.append(Draft("ab"[number % 2], f"{thread}", key, key), author)

    for thread in range(4):
        threading.Thread(target=talk, args=(thread,)).start()


def test_a_history_that_gets_no_thread_is_refused_and_can_be_opened_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(UsageError, match="can't start new thread"):
            SqliteBroker(path)
    SqliteBroker(path).close()
