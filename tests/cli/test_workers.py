"""`wschat serve --workers`: several processes that share a port."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.redis_server import RedisServer
from tests.server.command import COMMAND, Command, run, running
from wschat import CloseCode, ConnectionClosed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux distributes connections among sockets that share a port")

TWO_CORES = sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1

APP = """
import os

def tell_pid(ws):
    ws.send(str(os.getpid()))
    for _ in ws:
        pass
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "pids.py"
    path.write_text(APP)
    return path


@pytest.fixture
def command(app: Path) -> Iterator[Command]:
    """Two workers whose handler tells the number of its process."""
    with running("--port", "0", "--app", f"{app}:tell_pid", "--workers", "2") as command:
        yield command


def pid_of(ws: wschat.Connection) -> int:
    return int(ws.recv(TIMEOUT))


def pids(command: Command, connections: int = 40) -> set[int]:
    """Return the processes that serve this many new clients."""
    found = set()
    for _ in range(connections):
        with wschat.connect(command.url) as ws:
            found.add(pid_of(ws))
    return found


def exists(pid: int) -> bool:
    """Return True if a process has not ended. Where none waits for orphans, their entries stay."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(command: Command) -> set[int]:
    text = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text()
    return {int(word) for word in text.split()}


def test_the_workers_share_the_port_and_one_signal_stops_all(command: Command) -> None:
    found = pids(command)
    assert len(found) == 2
    assert command.process.pid not in found
    with ExitStack() as clients:
        connected = [clients.enter_context(wschat.connect(command.url)) for _ in range(10)]
        for ws in connected:
            pid_of(ws)
        command.process.send_signal(signal.SIGTERM)
        for ws in connected:
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
            assert closed.value.code == CloseCode.GOING_AWAY
    assert command.process.wait(TIMEOUT) == 0
    assert not any(map(exists, found))


def test_a_worker_that_dies_is_started_again_and_the_others_go_on(command: Command) -> None:
    with ExitStack() as clients:
        connected: dict[int, wschat.Connection] = {}
        while len(connected) < 2:
            ws = clients.enter_context(wschat.connect(command.url))
            connected[pid_of(ws)] = ws
        dead, alive = connected
        os.kill(dead, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            connected[dead].recv(TIMEOUT)
        # A client whose connection comes to the socket of the dead worker waits for the next one.
        found = pids(command)
        assert alive in found
        assert dead not in found
        assert len(found) == 2
        connected[alive].ping()
        assert "was killed by signal 9: restarting it" in command.errors()


def test_a_hang_up_replaces_all_workers_and_no_client_is_refused(command: Command) -> None:
    before = pids(command)
    is_over = threading.Event()
    found: set[int] = set()
    errors: list[Exception] = []

    def keep_connecting() -> None:
        while not is_over.is_set():
            try:
                found.update(pids(command, 1))
            except Exception as error:
                if getattr(error, "code", None) != CloseCode.GOING_AWAY:  # of a worker that stops, before the client has got the number
                    errors.append(error)

    with wschat.connect(command.url) as ws:
        assert pid_of(ws) in before
        thread = threading.Thread(target=keep_connecting)
        thread.start()
        try:
            command.process.send_signal(signal.SIGHUP)
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
            assert closed.value.code == CloseCode.GOING_AWAY
            eventually(lambda: not any(map(exists, before)))
            eventually(lambda: len(found - before) == 2)
        finally:
            is_over.set()
            thread.join()
    assert errors == []
    assert pids(command) == found - before
    assert command.stop() == 0


def test_without_a_successor_that_serves_the_workers_go_on(command: Command, app: Path) -> None:
    before = pids(command)
    app.write_text("raise ValueError('broken')")
    command.process.send_signal(signal.SIGHUP)
    eventually(lambda: "before it served: no more are replaced" in command.errors())
    assert "ValueError: broken" in command.errors()
    assert pids(command) == before


def test_the_workers_end_if_the_process_that_has_started_them_is_killed(command: Command) -> None:
    found = pids(command)
    command.process.kill()
    eventually(lambda: not any(map(exists, found)))


def test_a_chat_over_redis_is_one(redis_server: RedisServer, tmp_path: Path) -> None:
    url = f"{redis_server.url}?prefix={tmp_path}:"
    with running("--port", "0", "--workers", "2", "--broker", url) as command, ExitStack() as clients:
        connected = [clients.enter_context(wschat.connect(command.url)) for _ in range(20)]
        for ws in connected:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        connected[0].send("hello")
        for ws in connected:
            assert ws.recv(TIMEOUT) == "Server: hello"


def test_workers_that_cannot_serve_end_the_command(app: Path) -> None:
    app.write_text("raise ValueError('broken')")
    done = run("--port", "0", "--app", f"{app}:tell_pid", "--workers", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ValueError: broken" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("history", [["--history", "memory"], ["--history", "off"], ["--history", "chat.sqlite"], []])
def test_a_chat_without_a_shared_broker_is_refused(history: list[str]) -> None:
    done = run("--port", "0", "--workers", "2", *history)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--workers needs a broker that all processes share, such as --broker redis://HOST" in done.stderr


def test_a_port_of_other_workers_is_a_one_line_error(command: Command, app: Path) -> None:
    done = run("--port", str(command.port), "--app", f"{app}:tell_pid", "--workers", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"wschat: cannot listen on 127.0.0.1 port {command.port}: Address already in use\n"


@pytest.mark.skipif(not TWO_CORES, reason="needs two cores")
def test_zero_is_one_for_each_core_that_may_be_used(app: Path) -> None:
    allow = """import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"""
    command_on_two = [sys.executable, "-c", allow, *COMMAND[1:]]
    with running("--port", "0", "--app", f"{app}:tell_pid", "--workers", "0", command=command_on_two) as command:
        children = children_of(command)
        assert command.stop() == 0
    assert len(children) == 2


def test_an_ipv6_address_serves_ipv4_as_without_workers(app: Path) -> None:
    with running("--host", "::", "--port", "0", "--app", f"{app}:tell_pid", "--workers", "2", "--allowed-host", "*") as command:
        with wschat.connect(f"ws://127.0.0.1:{command.port}/") as ws:
            assert pid_of(ws)
        assert command.stop() == 0


def test_repeated_hang_ups_replace_one_worker_at_a_time(command: Command) -> None:
    before = pids(command)
    for _ in range(3):
        command.process.send_signal(signal.SIGHUP)
        most = 0
        for _ in range(10):
            most = max(most, len(children_of(command)))
            pids(command, 1)
        assert most <= 3
    eventually(lambda: len(children_of(command)) == 2 and not before & children_of(command))
    command.process.send_signal(signal.SIGINT)
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(TIMEOUT) == 0


def test_what_is_started_while_a_worker_cannot_be_is_served_by_the_others(command: Command, app: Path) -> None:
    first, second = pids(command)
    app.write_text("raise ValueError('broken')")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "before it served: restarting it" in command.errors())
    assert pids(command) == {second}
    app.write_text(APP)
    eventually(lambda: len(children_of(command)) == 2)
    eventually(lambda: len(pids(command)) == 2)
