"""The lock on a history file: no second server opens it by any name, and SQLite's own locks are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.wiring import log_of, say, texts
from tests.concurrency import TIMEOUT
from tests.server.command import environment
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import UsageError

OPEN = "import sys; from pathlib import Path; from wschat.brokers.sqlite.file_lock import FileLock; FileLock(Path(sys.argv[1]))"
READ = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); print(d.execute('SELECT count(*) FROM messages').fetchone()[0]); d.close()"
WITHOUT = {
    "descriptor locks": "import fcntl; vars(fcntl).pop('F_OFD_SETLK', None); ",
    "any locks": "import sys; sys.modules['fcntl'] = None; ",
}
SERVE = "import runpy; runpy.run_module('wschat.server', run_name='__main__', alter_sys=True)"


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    top = Path(__file__).parents[3]
    return subprocess.run(command, cwd=top, env=environment(), capture_output=True, text=True, timeout=TIMEOUT * 2, check=False)


def assert_in_use(path: Path) -> None:
    """Check that neither this process nor another can open the file."""
    with pytest.raises(UsageError, match="is in use by another server"):
        SqliteBroker(path).close()
    assert f"the history in {path} is in use by another server" in run(OPEN, path).stderr


def test_a_file_in_use_is_refused_by_a_hard_link(path: Path, broker: SqliteBroker) -> None:
    link = path.with_name("link.db")
    os.link(path, link)
    assert_in_use(link)
    assert say(broker, "lobby", "one") == [1]


def test_a_file_in_use_is_refused_though_its_lock_file_was_deleted(path: Path, broker: SqliteBroker) -> None:
    for other in path.parent.iterdir():
        if other.name not in ("history.db", "history.db-wal", "history.db-shm"):
            other.unlink()
    assert_in_use(path)


def test_a_file_in_use_is_refused_after_it_was_moved(path: Path, broker: SqliteBroker) -> None:
    assert_in_use(path.rename(path.with_name("moved.db")))


def test_a_file_with_two_hard_links_is_refused(path: Path) -> None:
    SqliteBroker(path).close()
    os.link(path, path.with_name("link.db"))
    with pytest.raises(UsageError, match=r"has 2 names \(hard links\)"):
        SqliteBroker(path).close()
    path.with_name("link.db").unlink()
    SqliteBroker(path).close()


def test_a_second_server_that_is_refused_leaves_the_locks_of_the_first(path: Path, broker: SqliteBroker) -> None:
    """A process loses all POSIX locks on a file when it closes any descriptor of it. Then other programs remove the write-ahead log."""
    assert say(broker, "lobby", "one") == [1]
    for _ in range(3):
        assert_in_use(path)
    assert run(READ, path).stdout == "1\n"
    assert say(broker, "lobby", "two") == [2]
    assert texts(log_of(broker, "lobby")) == ["one", "two"]


@pytest.mark.parametrize("setup", ["", WITHOUT["descriptor locks"]], ids=["of the file", "of a lock file"])
def test_connections_that_come_and_go_do_not_end_the_lock(path: Path, setup: str) -> None:
    code = f"""{setup}
import subprocess, sys
from contextlib import suppress
from wschat.brokers.sqlite.broker import SqliteBroker
broker = SqliteBroker(sys.argv[1])
for _ in range(5):
    with suppress(ZeroDivisionError), broker._readers.connection() as database:
        database.execute("SELECT * FROM rooms").fetchall()
        1 / 0  # closes the connection
print(subprocess.run([sys.executable, "-c", {setup + OPEN!r}, sys.argv[1]], capture_output=True, text=True).stderr)
broker.close()
print(subprocess.run([sys.executable, "-c", {setup + OPEN!r}, sys.argv[1]], capture_output=True, text=True).stderr)
"""
    done = run(code, path)
    assert done.stderr == ""
    assert done.stdout.count("UsageError: the history in") == 1
    assert done.stdout.endswith("\n\n"), "after `close` the file can be opened again"


def test_a_system_without_file_locks_gets_a_one_line_error_with_alternatives(path: Path) -> None:
    command = f"{WITHOUT['any locks']}sys.argv[1:] = ['--port', '0', '--history', sys.argv[1]]; {SERVE}"
    refused = run(command, path)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"wschat: cannot keep a history in {path}: this system cannot lock files (no fcntl); use --history memory or off\n"
    )
    assert not path.exists()


def test_a_system_without_file_locks_serves_a_chat_in_memory() -> None:
    command = f"{WITHOUT['any locks']}sys.argv[1:] = ['--port', '0', '--history', 'memory']; {SERVE}"
    with subprocess.Popen([sys.executable, "-c", command], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("wschat serves chat (history: memory)")
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_a_file_in_use_is_refused_until_it_is_closed(path: Path) -> None:
    with closing(SqliteBroker(path)) as first:
        with pytest.raises(UsageError, match=r"the history in .*history\.db is in use by another server"):
            SqliteBroker(path).close()
        assert say(first, "lobby", "one") == [1]
    with closing(SqliteBroker(path)) as second:
        assert say(second, "lobby", "two") == [2]


def test_a_file_in_use_is_refused_by_relative_paths_and_symbolic_links(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.db").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    with closing(SqliteBroker(path)):
        for name in ("history.db", f"../{tmp_path.name}/history.db", "link.db"):
            with pytest.raises(UsageError, match="is in use by another server"):
                SqliteBroker(name).close()
