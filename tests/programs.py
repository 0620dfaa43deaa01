"""Runs small programs that use wschat as subprocesses."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping

from tests.concurrency import TIMEOUT
from tests.documents import ROOT
from tests.server.command import environment

NODE_MODULES = ROOT / ".cache/node/node_modules"
"""The packages of npm that scripts/test installs."""


def run_program(source: str, *arguments: str, code: int = 0) -> str:
    """Run a program until it exits. Check that it wrote nothing to stderr and its exit code. Return its output."""
    command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
    program = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT, check=False)
    assert program.stderr == "", program.stderr
    assert program.returncode == code, program.stdout
    return program.stdout


def free_port() -> int:
    """Return a free port below the ephemeral ports: a client that connects to an ephemeral port may connect to itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running_program(*arguments: str, port: int, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run Python with these arguments, wait until it listens on the port, and at the end check that one SIGINT stops it cleanly."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                threading.Event().wait(0.01)  # a program that starts needs the processor
        yield
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
