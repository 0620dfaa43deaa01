"""The command with standard streams that are closed, full, or without a reader."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from time import monotonic, sleep

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.programs import free_port
from tests.server.command import COMMAND, environment, running


def connect_when_listening(port: int, process: subprocess.Popen[str]) -> wschat.Connection:
    """Connect as soon as the process listens."""
    deadline = monotonic() + 2 * TIMEOUT
    while True:
        try:
            return wschat.connect(f"ws://127.0.0.1:{port}/")
        except ConnectionRefusedError:
            assert process.poll() is None
            assert monotonic() < deadline
            sleep(0.02)


REDIRECTIONS = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "> >(true)", "2> >(true)", "> >(true) 2>&1"]


@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_a_standard_stream_serves_and_ends(redirection: str, number: int) -> None:
    port = free_port()
    script = f'exec "$@" {redirection}'
    command = ["bash", "-c", script, "bash", *COMMAND, "--port", str(port), "--log-level", "debug"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(3):  # each adds lines to the log
            with connect_when_listening(port, process) as ws:
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        with wschat.connect(f"ws://127.0.0.1:{port}/") as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
            process.send_signal(number)
            assert list(ws) == []
            assert ws.closed is not None
            assert ws.closed.code == wschat.CloseCode.GOING_AWAY
        _, errors = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in errors
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_socket_gets_the_number_of_a_standard_stream() -> None:
    port = free_port()
    command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *COMMAND, "--port", str(port)]
    process = subprocess.Popen(command, env=environment(), text=True)
    try:
        with connect_when_listening(port, process):
            assert [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)] == [os.devnull] * 3
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_path_that_cannot_be_printed_is_escaped(tmp_path: Path, encoding: str) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xc3\xbc\xff.sqlite")
    with running("--port", "0", "--history", path, env={"PYTHONIOENCODING": encoding}) as command:
        assert ".sqlite) on http://" in command.start_line
        assert command.stop() == 0


def test_a_log_without_a_reader_does_not_stop_the_server() -> None:
    reader, writer = os.pipe()
    command = [*COMMAND, "--port", "0"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2].rstrip("/\n"))
        os.close(reader)
        for _ in range(300):  # more than a buffer of lines
            wschat.connect(f"ws://127.0.0.1:{port}/").close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.communicate()
