"""The log in a file: what outlives the process, however that ends, and what becomes of those who find the file out of order."""

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

from tests.brokers.sqlite.wiring import in_another_process, locked, looking_into, refusal, rows_of, top
from tests.brokers.test_clock import DAY, Hands
from tests.brokers.wiring import EVERYTHING, TEXTS, Listener, Speaker, append, last_numbers, log_of, numbers, say, texts, upto
from tests.concurrency import TIMEOUT, eventually
from wschat.brokers.base import TOPIC, Draft, Message, Outcome, Retention, Rule
from wschat.brokers.sqlite import broker as sqlite
from wschat.brokers.sqlite import connections, write_queue
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError

ALL = Retention(messages=0, days=0)


# A file that is opened again


def test_everything_outlives_a_restart(path: Path) -> None:
    rules = [Rule("lobby", "ban", "mallory\0", 0.0, "alice"), Rule("lobby", "mute", "trent", 1e10 + 0.5, "alice")]
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
        append(broker, *(Draft("lobby", text, text, key=text) for text in TEXTS))
        say(broker, "other", "one", "two")
        for rule in rules:
            broker.set_rules([rule])
        broker.add_member("lobby", "alice")
        said = [log_of(broker, "lobby"), log_of(broker, "other")]
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch == epoch
        assert [log_of(broker, "lobby"), log_of(broker, "other")] == said
        assert last_numbers(broker) == {"lobby": len(TEXTS), "other": 2}
        assert broker.subscribe("lobby", Listener()) == len(TEXTS)
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


def test_a_log_that_was_lost_begins_another_epoch(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        epoch = broker.epoch
    path.unlink()
    with closing(SqliteBroker(path)) as broker:
        assert broker.epoch != epoch


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


# Whose file it is


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


# Writing


def test_nothing_is_delivered_that_is_not_in_the_file(path: Path, broker: SqliteBroker) -> None:
    found: list[tuple[Message, tuple[str, str] | None]] = []
    with looking_into(path) as database:

        class Checking(Listener):
            def on_messages(self, messages: Sequence[Message]) -> None:
                for message in messages:
                    row = database.execute("SELECT sender, text FROM messages WHERE seq = ?", (message.seq,)).fetchone()
                    found.append((message, row))

        broker.subscribe("lobby", Checking())
        append(broker, *(Draft("lobby", "alice", f"{number}") for number in range(500)))
    assert [row for _, row in found] == [("alice", f"{number}") for number in range(500)]
    assert all(message[2:4] == row for message, row in found)


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
        actions = (broker.check, lambda: broker.set_rules([rule]), lambda: broker.delete_rules([rule]), lambda: log_of(broker, "lobby"))
        tasks = [pool.submit(again_and_again, action) for action in actions]
        try:
            for number in upto(200):
                assert say(broker, "lobby", "x") == [number]
        finally:
            is_over.set()
        assert all(task.result(TIMEOUT) for task in tasks)


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
            broker.delete_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
        database.executescript("ALTER TABLE gone RENAME TO messages; ALTER TABLE gone_too RENAME TO rules;")
    assert [say(broker, "lobby", "two"), say(broker, "new", "two")] == [[2], [1]]
    assert texts(listener.messages) == texts(log_of(broker, "lobby")) == ["one", "two"]
    assert texts(log_of(broker, "new")) == ["two"]
    assert broker.rules() == []


def test_a_full_disk_loses_nothing_and_is_no_end(path: Path) -> None:
    subprocess.run(in_another_process(fill_the_disk, str(path)), cwd=top(), check=True, timeout=TIMEOUT * 2)
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
            assert (log[room][seq - 1].text, log[room][seq - 1].kind) == (key, kind_of(key))
        for room, messages in log.items():
            assert broker.topic(room) == [message for message in messages if message.kind == TOPIC][-1]
        # Whoever was not told in time says it once more.
        assert append(broker, *(Draft(room, "again", key, key, kind=kind_of(key)) for room, key, _ in acknowledged)) == [
            seq for _, _, seq in acknowledged
        ]


def kind_of(key: str) -> str:
    """Many set the topic."""
    return TOPIC if key.endswith(("3", "8")) else ""


def talk_until_killed(path: str, life: int) -> None:
    """For a process of its own: append without end, and write a line for each message that is acknowledged."""
    broker = SqliteBroker(path, ALL)

    class Printing:
        def on_appended(self, outcomes: list[Outcome]) -> None:
            for draft, result in outcomes:
                os.write(1, f"{draft.room} {draft.key} {result}\n".encode())  # at once, and whole

    publisher = Printing()

    def talk(thread: int) -> None:
        for number in count():
            key = f"{life}-{thread}-{number}"
            broker.append(Draft("ab"[number % 2], f"{thread}", key, key, kind=kind_of(key)), publisher)

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
