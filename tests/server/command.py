"""Runs `python -m wschat.server` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.concurrency import TIMEOUT

COMMAND = [sys.executable, "-m", "wschat.server"]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without wschat's variables. The history is off, so that no test writes to the user's file."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WSCHAT_")}
    return {**inherited, "WSCHAT_HISTORY": "off", **(changes or {})}


class Served:
    """A server that clients can reach."""

    def __init__(self, host: str, port: int, prefix: str = "") -> None:
        self.host, self.port, self.prefix = host, port, prefix

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}{self.prefix}/"


class Command(Served):
    """A server in a process of its own. Its standard error goes to a file, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self._errors = errors
        self.start_line = process.stdout.readline().rstrip("\n")
        match = re.search(r" (?:ws|http)s?://(\S+):(\d+)(\S*)/$", self.start_line)
        assert match, f"no start line but {self.start_line!r}; {self.errors()}"
        super().__init__(match[1], int(match[2]), match[3])

    def errors(self) -> str:
        """Return what it has written to standard error so far."""
        return Path(self._errors.name).read_text()

    def peak_bytes(self) -> int:
        """Return its peak memory in bytes. Linux only."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait. Return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


@contextmanager
def running(
    *options: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, command: Sequence[str] = COMMAND
) -> Iterator[Command]:
    """Start a server and wait until it listens. Stop it after the block."""
    with (
        tempfile.NamedTemporaryFile("w") as errors,
        subprocess.Popen([*command, *options], env=environment(env), cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Command(process, errors)
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()


def run(*options: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, for options with which it does not serve."""
    return subprocess.run(
        [*COMMAND, *options], env=environment(env), cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT * 3, check=False
    )
