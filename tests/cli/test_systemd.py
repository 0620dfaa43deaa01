"""`wschat serve` under systemd: a socket that is passed, notes of its state, and the units of docs/deploy."""

from __future__ import annotations

import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.documents import ROOT
from tests.programs import free_port
from tests.server.command import COMMAND, environment, running
from tests.server.raw import Raw, request
from wschat.cli.systemd import passed_socket

UNITS = ROOT / "docs/deploy"
# As systemd does: the variables name the process, and the socket is its descriptor 3.
AS_SYSTEMD = ["sh", "-c", 'exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=${FDS:-1} exec "$@"', "sh", *COMMAND]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd runs on Linux")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@contextmanager
def activated(listening: socket.socket | IO[str], **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command with a socket as its standard input, which the shell makes its descriptor 3."""
    with subprocess.Popen(
        AS_SYSTEMD, stdin=listening.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(env)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def notifications_at(path: str) -> Iterator[socket.socket]:
    """Return the socket that notifications come to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(path)
        notifications.settimeout(TIMEOUT)
        yield notifications


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def failure(listening: socket.socket | IO[str], **env: str) -> str:
    """Return the error with which the command ends."""
    with activated(listening, **env) as process:
        output, errors = process.communicate(timeout=2 * TIMEOUT)
        assert (process.returncode, output) == (2, "")
    return errors


def test_a_client_that_connects_while_the_server_restarts_waits(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    for _ in range(2):
        with Raw(socket.create_connection(("127.0.0.1", port), TIMEOUT)) as early:
            early.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            with activated(listening) as process:
                assert first_line(process) == f"wschat serves chat on http://127.0.0.1:{port}/ and ws://127.0.0.1:{port}/"
                assert early.rest().startswith(b"HTTP/1.1 200")
                with wschat.connect(f"ws://127.0.0.1:{port}/") as ws:
                    assert ws.recv(TIMEOUT) == "Welcome to the chat!"
                    process.send_signal(signal.SIGTERM)
                    with pytest.raises(wschat.ConnectionClosed) as closed:
                        ws.recv(TIMEOUT)
                assert closed.value.code == wschat.CloseCode.GOING_AWAY
                assert process.wait(TIMEOUT) == 0


def test_an_opening_in_progress_is_finished_when_the_server_stops(listening: socket.socket, tmp_path: Path) -> None:
    """Its client would have to be refused, else, although another server is about to serve the socket."""
    port, opening = listening.getsockname()[1], request()
    with notifications_at(path := str(tmp_path / "notify")) as notifications, activated(listening, NOTIFY_SOCKET=path) as process:
        assert notifications.recv(100) == b"READY=1"
        with Raw(socket.create_connection(("127.0.0.1", port), TIMEOUT)) as slow:
            slow.send(opening[:20])
            wschat.connect(f"ws://127.0.0.1:{port}/").close()  # it was accepted after the slow one
            process.send_signal(signal.SIGTERM)
            assert notifications.recv(100) == b"STOPPING=1"
            assert select.select([slow.socket], [], [], 0.1) == ([], [], [])
            slow.send(opening[20:])
            assert slow.response().status == 101
        assert process.wait(TIMEOUT) == 0


def test_workers_share_the_socket(listening: socket.socket, tmp_path: Path) -> None:
    with (
        notifications_at(path := str(tmp_path / "notify")) as notifications,
        activated(listening, NOTIFY_SOCKET=path, WSCHAT_WORKERS="2", WSCHAT_APP="wschat.apps:echo") as process,
    ):
        assert notifications.recv(100) == b"READY=1"
        with wschat.connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/") as ws:
            ws.send("hello")
            assert ws.recv(TIMEOUT) == "hello"
        process.send_signal(signal.SIGTERM)
        assert notifications.recv(100) == b"STOPPING=1"
        assert process.wait(TIMEOUT) == 0


def test_a_unix_socket_is_served_and_its_file_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with activated(listening) as process:
            assert first_line(process) == f"wschat serves chat on {path}"
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            with wschat.connect("ws://localhost/", sock=client) as ws:
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
        assert Path(path).exists()


def test_systemd_is_told_when_the_server_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with notifications_at(path := str(tmp_path / "notify")) as notifications:
        with running("--port", "0", env={"NOTIFY_SOCKET": path}) as command:
            assert notifications.recv(100) == b"READY=1"
            with wschat.connect(command.url) as ws:
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
            assert command.stop() == 0
        assert notifications.recv(100) == b"STOPPING=1"


def test_a_notification_that_nobody_reads_is_logged(tmp_path: Path) -> None:
    with running("--port", "0", env={"NOTIFY_SOCKET": str(tmp_path / "gone")}) as command:
        assert command.stop() == 0
        assert f"cannot notify systemd at {tmp_path / 'gone'}: No such file or directory" in command.errors()


def test_the_variables_of_another_process_are_ignored_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of a parent that systemd has started."""
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert passed_socket() is None
    with monkeypatch.context() as later:
        later.setenv("LISTEN_FDS", "2")
        assert passed_socket() is None


def test_what_cannot_be_served_is_a_one_line_error(listening: socket.socket, tmp_path: Path) -> None:
    assert (
        failure(listening, FDS="2")
        == "wschat: systemd passes 2 sockets, and wschat serves one: the socket unit must have one ListenStream=\n"
    )
    assert failure(listening, WSCHAT_PORT="0") == "wschat: systemd passes a socket that listens: --port cannot be given, too\n"
    connected, other = socket.socketpair()
    with connected, other:
        assert "the socket that systemd passes does not listen" in failure(connected)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert "the socket that systemd passes does not listen" in failure(datagrams)
    with (tmp_path / "file").open("w") as file:
        assert "descriptor 3, which systemd passes, is not a socket" in failure(file)


def systemd(name: str) -> str:
    """Return the path of a program of systemd's."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name} (on Debian: apt install systemd), which scripts/test installs as root")
    return path


def test_systemd_starts_it_for_the_first_client() -> None:
    port = free_port()
    command = [systemd("systemd-socket-activate"), "-l", f"127.0.0.1:{port}", "-E", "WSCHAT_HISTORY=off", *COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "Listening on" in process.stderr.readline()
            with wschat.connect(f"ws://127.0.0.1:{port}/") as ws:
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    service, sockets = tmp_path / "wschat.service", tmp_path / "wschat.socket"
    service.write_text((UNITS / service.name).read_text().replace("/opt/wschat/bin/wschat", sys.executable))
    shutil.copy(UNITS / sockets.name, sockets)
    verified = subprocess.run(
        [systemd("systemd-analyze"), "verify", "--man=no", service, sockets], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_has_a_tight_sandbox() -> None:
    """Of 100 points, which a service without a sandbox has nearly all of, it may have 20."""
    command = [systemd("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", str(UNITS / "wschat.service")]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
