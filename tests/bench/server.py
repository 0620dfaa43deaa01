"""The server under test: the command as its users run it, with its history on the disk of the current folder."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import NamedTuple

from tests.bench.report import Report
from tests.server.command import Command, running

# Whoever measures is one client with a thousand connections, and does nothing but what it was asked for: nobody is limited or pinged.
_OPTIONS = ("--rate", "off", "--max-connections-per-ip", "0", "--ping-interval", "0", "--log-level", "warning")
_KEEP_ALL = ("--keep-messages", "0", "--keep-days", "0")


@contextmanager
def history_file() -> Iterator[Path]:
    """Where a history may be, on a real disk: a temporary folder of the system is often in memory."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        yield Path(folder) / "history.sqlite"


@contextmanager
def serving(history: Path) -> Iterator[Command]:
    """A chat server that keeps everything in this file. Each client takes a descriptor on either side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with running("--port", "0", "--history", str(history), *_OPTIONS, *_KEEP_ALL) as server:
        yield server


def stop(server: Command, report: Report) -> None:
    """End it as its users do, and say what it left to say."""
    code = server.stop()
    if code or server.errors():
        report.problems.append(f"the server's exit code is {code}, and it said: {server.errors()[:500]!r}")


class Usage(NamedTuple):
    """What something took: of the server, and of whoever measured it."""

    server_seconds: float
    own_seconds: float
    seconds: float
    peak_bytes: int

    def show_in(self, report: Report) -> None:
        """Add rows to a report."""
        report.add("the server's processor time", f"{self.server_seconds:.1f} s of {self.seconds:.1f}")
        report.add("the server's peak memory", f"{self.peak_bytes / 2**20:.0f} MiB")
        report.add("the load generator's processor time", f"{self.own_seconds:.1f} s of {self.seconds:.1f}")


def watch(server: Command, do: Callable[[], None]) -> Usage:
    """Do something with a server, and see what that takes."""
    server_before, own_before, began_at = _cpu_seconds(server), process_time(), monotonic()
    do()
    server_seconds = _cpu_seconds(server) - server_before
    is_there = server.process.poll() is None
    return Usage(server_seconds, process_time() - own_before, monotonic() - began_at, server.peak_bytes() if is_there else 0)


def _cpu_seconds(server: Command) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
