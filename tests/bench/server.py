"""The server under test: the command in a process of its own, with its history on the disk of the current folder."""

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

# The load generator has a thousand connections at one address, and does not answer pings: no client is limited or pinged.
_OPTIONS = ("--rate", "off", "--max-connections-per-ip", "0", "--ping-interval", "0", "--log-level", "warning")
_KEEP_ALL = ("--keep-messages", "0", "--keep-days", "0")


@contextmanager
def history_file() -> Iterator[Path]:
    """Make a path for a history on a real disk: the temporary folder of the system is often in memory."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        yield Path(folder) / "history.sqlite"


@contextmanager
def serving(history: Path | str) -> Iterator[Command]:
    """Run a chat server with this history. Raise the limit on descriptors: each client takes one on either side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with running("--port", "0", "--history", str(history), *_OPTIONS, *_KEEP_ALL) as server:
        yield server


def stop(server: Command, report: Report) -> None:
    """Stop the server. Report an exit code that is not 0, and a log that is not empty, as a problem."""
    code = server.stop()
    if code or server.errors():
        report.problems.append(f"the server's exit code is {code}, and its log is {server.errors()[:500]!r}")


class Usage(NamedTuple):
    """The resources that a measurement took, of the server and of the load generator."""

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
    """Call a function, and measure the resources that it takes."""
    server_before, own_before, began_at = cpu_seconds(server), process_time(), monotonic()
    do()
    server_seconds = cpu_seconds(server) - server_before
    is_there = server.process.poll() is None
    return Usage(server_seconds, process_time() - own_before, monotonic() - began_at, server.peak_bytes() if is_there else 0)


def cpu_seconds(server: Command) -> float:
    """Return the processor time that a server has taken so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
