"""Small programs that use wschat, each run as a process of its own. Tests do not belong here."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

from tests.connection.wiring import PATIENCE
from tests.server.command import environment


def run_program(source: str, *arguments: str, code: int = 0) -> str:
    """Run a program to its end, which it must reach by itself, with this exit code and no traceback. Return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
    program = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert program.stderr == "", program.stderr
    assert program.returncode == code, program.stdout
    return program.stdout


def free_port() -> int:
    """Return a free port below those that the system gives to clients: a client that connects to one of these may reach itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running_program(*arguments: str, port: int) -> Iterator[None]:
    """Run Python with these arguments, wait until it listens on the port, and in the end check that one SIGINT stops it cleanly."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                continue
        yield
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
