"""The SQLite broker: restarts, crashes, other programs, full disks, and damaged files."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.brokers.sqlite.wiring import in_another_process, locked, open_database, refusal, rows_of, top
from tests.brokers.test_clock import DAY, FakeTime
from tests.brokers.wiring import (
    EVERYTHING,
    TEXTS,
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
from tests.concurrency import TIMEOUT, eventually
from wschat.brokers import write_queue
from wschat.brokers.base import TOPIC, Draft, Message, Outcome, Retention, Rule
from wschat.brokers.sqlite import broker as sqlite
from wschat.brokers.sqlite import connections
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError

ALL = Retention(messages=0, days=0)


# Restarts


def test_messages_keys_rules_and_the_epoch_survive_a_restart(path: Path) -> None:
    rules = [Rule("lobby", "ban", "mallory\0", 0.0, "alice"), Rule("lobby", "mute", "trent", 1e10 + 0.5, "alice")]
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
        append(broker, *(Draft("lobby", text, text, key=text) for text in TEXTS))
        say(broker, "other", "one", "two")
        for rule in rules:
            broker.set_rules([rule])
        broker.add_member("lobby", "alice")
        logs = [log_of(broker, "lobby"), log_of(broker, "other")]
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch == epoch
        assert [log_of(broker, "lobby"), log_of(broker, "other")] == logs
        assert last_numbers(broker) == {"lobby": len(TEXTS), "other": 2}
        assert broker.subscribe("lobby", RecordingSubscriber()) == len(TEXTS)
        assert append(broker, *(Draft("lobby", text, text, key=text) for text in TEXTS)) == upto(len(TEXTS))
        assert append(broker, Draft("lobby", "alice", "x"), Draft("other", "alice", "x")) == [len(TEXTS) + 1, 3]
        assert broker.rules() == rules
        broker.delete_rules([Rule("lobby", "ban", "mallory\0", 0.0, "")])
        assert broker.members("lobby") == []
    with closing(SqliteBroker(path)) as broker:
        assert broker.rules() == rules[1:]
        assert broker.epoch == epoch


def test_another_file_has_another_epoch(tmp_path: Path) -> None:
    with closing(SqliteBroker(tmp_path / "one.db")) as one, closing(SqliteBroker(tmp_path / "other.db")) as other:
        assert one.epoch != other.epoch


def test_a_new_file_in_place_of_a_lost_one_has_another_epoch(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
    path.unlink()
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch != epoch


def test_old_messages_are_deleted_from_the_file_while_the_server_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAINTENANCE_INTERVAL", 0.01)
    fake_time = FakeTime(monkeypatch)
    with closing(SqliteBroker(path, Retention(days=0.5))) as broker:
        append(broker, *(Draft(f"room{number}", "alice", "x") for number in range(500)))
        fake_time.advance(0.6 * DAY)
        eventually(lambda: rows_of(path, "messages") == 0)
        assert broker.count_rooms() == 500
        fake_time.advance(0.6 * DAY)
        eventually(lambda: broker.count_rooms() == 0)
        assert (rows_of(path, "rooms"), rows_of(path, "keys")) == (0, 0)


# Names and modes of files


def test_a_relative_path_is_resolved_when_the_broker_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that become daemons change to another directory."""
    (tmp_path / "start").mkdir()
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    with closing(SqliteBroker("history.db")) as broker:
        monkeypatch.chdir(tmp_path / "later")
        assert say(broker, "lobby", "one") == [1]
        assert texts(log_of(broker, "lobby")) == ["one"]
    assert list((tmp_path / "later").iterdir()) == []


def test_names_with_a_meaning_for_sqlite_are_plain_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:history.db?mode=memory", "a b%20c"):
        with closing(SqliteBroker(name)) as broker:
            assert say(broker, "lobby", "one") == [1]
            assert texts(log_of(broker, "lobby")) == ["one"]
        assert (tmp_path / name).stat().st_size


def test_new_files_and_folders_are_readable_by_their_owner_only(tmp_path: Path) -> None:
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
    assert set(modes.values()) == {0o600}, "the write-ahead log has messages too"
    assert S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_mode_of_an_existing_file_is_kept(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    with closing(SqliteBroker(path)):
        assert S_IMODE(path.stat().st_mode) == 0o640


def test_an_empty_file_is_used_like_a_new_one(path: Path) -> None:
    path.touch()
    with closing(SqliteBroker(path)) as broker:
        assert say(broker, "lobby", "one") == [1]


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "folder", tmp_path / "file" / "history.db", tmp_path / "loop", tmp_path / ("x" * 300)):
        assert f"cannot keep a history in {path}: " in refusal(path)


# Writing


def test_messages_are_in_the_file_before_they_are_delivered(path: Path, broker: SqliteBroker) -> None:
    found: list[tuple[Message, tuple[str, str] | None]] = []
    with open_database(path) as database:

        class Checking(RecordingSubscriber):
            def on_messages(self, messages: Sequence[Message]) -> None:
                for message in messages:
                    row = database.execute("SELECT sender, text FROM messages WHERE seq = ?", (message.seq,)).fetchone()
                    found.append((message, row))

        broker.subscribe("lobby", Checking())
        append(broker, *(Draft("lobby", "alice", f"{number}") for number in range(500)))
    assert [row for _, row in found] == [("alice", f"{number}") for number in range(500)]
    assert all(message[2:4] == row for message, row in found)


# Concurrent use of the file


def test_checks_rules_reads_and_appends_never_wait_for_a_lock_of_sqlite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lock timeout of 0, waiting would be an error."""
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.0)
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.0)
    with closing(SqliteBroker(path)) as broker, ThreadPoolExecutor(4) as pool:
        is_over = threading.Event()

        def repeat(action: Callable[[], object]) -> int:
            times = 0
            while not is_over.is_set():
                action()
                times += 1
            return times

        rule = Rule("lobby", "ban", "mallory", 0.0, "alice")
        actions = (broker.check, lambda: broker.set_rules([rule]), lambda: broker.delete_rules([rule]), lambda: log_of(broker, "lobby"))
        tasks = [pool.submit(repeat, action) for action in actions]
        try:
            for number in upto(200):
                assert say(broker, "lobby", "x") == [number]
        finally:
            is_over.set()
        assert all(task.result(TIMEOUT) for task in tasks)


def test_a_message_waits_while_another_program_holds_the_file(path: Path, broker: SqliteBroker) -> None:
    """A backup, or a user with a shell, can hold it for seconds."""
    publisher = RecordingPublisher(broker)
    with locked(path):
        publisher.begin(Draft("lobby", "alice", "one"))
        threading.Event().wait(2.5)  # deliberately long; there is no event to wait for
        assert publisher.outcomes == []
    assert publisher.wait_for(1) == [1]


# Unusable files


def test_a_short_lock_by_another_program_only_delays_messages(path: Path, broker: SqliteBroker) -> None:
    publisher = RecordingPublisher(broker)
    with locked(path):
        publisher.begin(Draft("lobby", "alice", "one"))
        eventually(lambda: not broker._queue._messages)
    assert publisher.wait_for(1) == [1]


def test_while_another_program_has_locked_the_file_nothing_is_appended(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.05)
    with closing(SqliteBroker(path)) as broker:
        subscriber = RecordingSubscriber()
        for room in ("lobby", "new"):
            broker.subscribe(room, subscriber)
        assert say(broker, "lobby", "one") == [1]
        with locked(path):
            drafts = [Draft("lobby", "alice", "two", "k"), Draft("new", "alice", "three"), Draft("lobby", "alice", "four")]
            results = append(broker, *drafts)
            assert [str(result) for result in results] == ["the history cannot be written: database is locked"] * 3
            assert all(isinstance(result, HistoryUnavailable) for result in results)
            assert texts(log_of(broker, "lobby")) == texts(subscriber.messages) == ["one"], "reads are not affected"
            assert last_numbers(broker) == {"lobby": 1}
            with pytest.raises(HistoryUnavailable, match="database is locked"):
                broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
            assert broker.rules() == []
        assert f"cannot be kept in {path}: database is locked" in caplog.text
        assert append(broker, *drafts) == [2, 1, 3]
        assert texts(log_of(broker, "lobby")) == ["one", "two", "four"]
        assert texts(subscriber.messages) == ["one", "two", "three", "four"] or texts(subscriber.messages) == [
            "one",
            "two",
            "four",
            "three",
        ]
        broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
        assert len(broker.rules()) == 1


def test_a_file_damaged_by_another_program_is_unavailable_until_it_is_repaired(path: Path, broker: SqliteBroker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    assert say(broker, "lobby", "one") == [1]
    with open_database(path) as database:
        database.executescript("ALTER TABLE messages RENAME TO gone; ALTER TABLE rules RENAME TO gone_too;")
        assert {type(result) for result in [*say(broker, "lobby", "two"), *say(broker, "new", "two")]} == {HistoryUnavailable}
        for read in (lambda: broker.read_since("lobby", 0, 5), lambda: broker.read_before("lobby", None, 5), lambda: broker.rules()):
            with pytest.raises(HistoryUnavailable, match="the history cannot be used: no such table"):
                read()
        with pytest.raises(HistoryUnavailable):
            broker.delete_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
        database.executescript("ALTER TABLE gone RENAME TO messages; ALTER TABLE gone_too RENAME TO rules;")
    assert [say(broker, "lobby", "two"), say(broker, "new", "two")] == [[2], [1]]
    assert texts(subscriber.messages) == texts(log_of(broker, "lobby")) == ["one", "two"]
    assert texts(log_of(broker, "new")) == ["two"]
    assert broker.rules() == []


def test_a_full_disk_loses_nothing_and_writing_continues_when_there_is_room(path: Path) -> None:
    subprocess.run(in_another_process(fill_the_disk, str(path)), cwd=top(), check=True, timeout=TIMEOUT * 2)
    with closing(SqliteBroker(path)) as broker:
        messages = log_of(broker, "lobby")
        assert numbers(messages) == upto(len(messages))
        assert [message.text.strip("x") for message in messages] == [f"{number} " for number in range(len(messages))]
        assert say(broker, "lobby", "next") == [len(messages) + 1]


def fill_the_disk(path: str) -> None:
    """Simulate a full disk by a limit on the size of files, which applies to the whole process. Runs in a process of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    subscriber = RecordingSubscriber()
    with closing(SqliteBroker(path)) as broker:

        def talk(number: int) -> int | None:
            (result,) = say(broker, "lobby", f"{number} " + "x" * 30_000, key=f"{number}")
            assert isinstance(result, (int, HistoryUnavailable))
            return result if isinstance(result, int) else None

        broker.subscribe("lobby", subscriber)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
        accepted = 0
        while talk(accepted):
            accepted += 1
        assert accepted, "the limit is too low to show anything"
        refused = range(accepted, accepted + 5)
        assert [talk(number) for number in refused] == [None] * 5
        assert numbers(subscriber.messages) == numbers(log_of(broker, "lobby")) == upto(accepted)
        assert last_numbers(broker) == {"lobby": accepted}
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert [talk(number) for number in refused] == [number + 1 for number in refused]
        assert [talk(number) for number in range(accepted)] == upto(accepted), "their keys are still known"
        assert numbers(subscriber.messages) == numbers(log_of(broker, "lobby")) == upto(accepted + 5)


# Kills


def test_acknowledged_messages_survive_a_kill(path: Path) -> None:
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
            assert (log[room][seq - 1].text, log[room][seq - 1].kind) == (key, kind_of(key))
        for room, messages in log.items():
            assert broker.topic(room) == [message for message in messages if message.kind == TOPIC][-1]
        # A publisher without a result repeats its message.
        assert append(broker, *(Draft(room, "again", key, key, kind=kind_of(key)) for room, key, _ in acknowledged)) == [
            seq for _, _, seq in acknowledged
        ]


def kind_of(key: str) -> str:
    """Many set the topic."""
    return TOPIC if key.endswith(("3", "8")) else ""


def talk_until_killed(path: str, life: int) -> None:
    """Append messages forever, and print each one that is acknowledged. Runs in a process of its own."""
    broker = SqliteBroker(path, ALL)

    class Printing:
        def on_appended(self, outcomes: list[Outcome]) -> None:
            for draft, result in outcomes:
                os.write(1, f"{draft.room} {draft.key} {result}\n".encode())  # unbuffered

    publisher = Printing()

    def talk(thread: int) -> None:
        for number in count():
            key = f"{life}-{thread}-{number}"
            broker.append(Draft("ab"[number % 2], f"{thread}", key, key, kind=kind_of(key)), publisher)

    for thread in range(4):
        threading.Thread(target=talk, args=(thread,)).start()


def test_a_broker_that_could_not_start_its_thread_can_be_opened_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(UsageError, match="can't start new thread"):
            SqliteBroker(path)
    SqliteBroker(path).close()
