"""`wschat serve --workers N`: the process that starts N workers, which share a port, and starts each again that ends.

It serves nobody itself. It keeps the listening sockets open, so that no connection is refused while a worker is replaced. Each worker is
this command once more, with a socket to serve and a link: over it a worker reports that it serves, and both notice the end of the other.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from time import monotonic

from wschat.cli.signals import Signals
from wschat.cli.systemd import notify
from wschat.cli.worker import VARIABLE
from wschat.daemons import start_daemon
from wschat.errors import UsageError
from wschat.server.listening import family_of, naming
from wschat.stdio import announce

logger = logging.getLogger("wschat.server")

# Seconds from the start of a worker that has ended to the next: the first, doubled as long as none gets to serve, up to the second.
_MIN_PAUSE, _MAX_PAUSE = 1.0, 30.0


def listening_sockets(address: tuple[str, int], backlog: int, number: int) -> list[socket.socket]:
    """Return listening sockets that share a port, among which the kernel distributes connections. Raises UsageError and OSError."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError("--workers needs a system where processes can share a port (SO_REUSEPORT)")
    family = family_of(address)
    with naming(address):
        # The first is alone, and fails if another server listens there, even one that would share the port.
        with socket.socket(family) as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(address)
            address = (address[0], first.getsockname()[1])
        return [socket.create_server(address, family=family, backlog=backlog, reuse_port=True) for _ in range(number)]


class _Process:
    """A worker that was started. `announcement` is what it has reported, empty until then; `code` is its exit code."""

    def __init__(
        self, index: int, listening: socket.socket, on_ready: Callable[[_Process], None], on_end: Callable[[_Process], None]
    ) -> None:
        self.started_at = monotonic()
        self.announcement = ""
        self.code: int | None = None
        self._link, theirs = socket.socketpair()
        with theirs, ExitStack() as undo:
            undo.callback(self._link.close)
            passed = (listening.fileno(), theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, VARIABLE: f"{index} {passed[0]} {passed[1]}"},
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the process that has started it
            )
            undo.pop_all()
        start_daemon(partial(self._watch, on_ready, on_end), "wschat-worker")

    def _watch(self, on_ready: _Report, on_end: _Report) -> None:
        with self._link, self._link.makefile(encoding="utf-8") as reports:
            self.announcement = reports.readline().rstrip("\n")
            if self.announcement:
                on_ready(self)
            self.code = self._process.wait()
        on_end(self)

    def send_signal(self, number: int) -> None:
        """Send a signal to the worker, if it has not ended."""
        self._process.send_signal(number)


_Report = Callable[[_Process], None]


class _Slot:
    """A place for one worker: the one that serves, and the one that is being started."""

    def __init__(self, index: int, listening: socket.socket) -> None:
        self.index, self.listening = index, listening
        self.serving: _Process | None = None
        self.starting: _Process | None = None
        self.failures = 0  # workers in a row that have ended before they served
        self.start_at: float | None = None  # when to start the next, if one has ended


class Workers:
    """Starts and replaces workers. `serve` does everything in the calling thread; `stop` and `replace` may be called from any."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._slots = [_Slot(index, listening) for index, listening in enumerate(sockets)]
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # All below is for the thread that serves.
        self._running: set[_Process] = set()
        self._to_replace: deque[_Slot] = deque()
        self._has_announced = self._is_stopping = False
        self._code = 0

    def serve(self) -> int:
        """Start the workers, and return once all have ended: the exit code. That is not 0 if one could not be started at first."""
        with Signals(self._actions_on_signals()):
            for slot in self._slots:
                self._start(slot)
            while self._running or not self._is_stopping:
                try:
                    self._events.get(timeout=self._pause())()
                except queue.Empty:
                    self._start_due()
        return self._code

    def stop(self) -> None:
        """Stop all workers; called once more, kill them."""
        self._events.put(self._stop)

    def replace(self) -> None:
        """Replace one worker after another: each is stopped once its successor serves."""
        self._events.put(self._replace_all)

    def _actions_on_signals(self) -> dict[int, Callable[[], None]]:
        actions = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            actions[signal.SIGHUP] = self.replace
        return {int(number): action for number, action in actions.items()}

    def _start(self, slot: _Slot) -> None:
        slot.start_at = None
        try:
            slot.starting = _Process(
                slot.index,
                slot.listening,
                on_ready=lambda process: self._events.put(partial(self._on_ready, slot, process)),
                on_end=lambda process: self._events.put(partial(self._on_end, slot, process)),
            )
            self._running.add(slot.starting)
        except OSError as error:
            if not self._has_announced:
                raise
            logger.error("worker %d cannot be started: %s", slot.index, error)
            slot.start_at = None if slot.serving else monotonic() + _MAX_PAUSE

    def _pause(self) -> float | None:
        """Return the seconds until the next worker is to be started, None if none is."""
        times = [slot.start_at for slot in self._slots if slot.start_at is not None]
        return max(min(times) - monotonic(), 0.0) if times else None

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.start_at is not None and slot.start_at <= monotonic():
                self._start(slot)

    def _on_ready(self, slot: _Slot, process: _Process) -> None:
        if slot.starting is not process:
            return  # it has been told to stop
        former, slot.serving, slot.starting, slot.failures = slot.serving, process, None, 0
        if former is not None:
            former.send_signal(signal.SIGTERM)  # the next one is replaced once it has ended
        else:
            self._replace_next()
        if not self._has_announced and all(slot.serving for slot in self._slots):
            self._has_announced = True
            announce(process.announcement)
            notify("READY=1")

    def _on_end(self, slot: _Slot, process: _Process) -> None:
        self._running.discard(process)
        if self._is_stopping:
            return
        if process is slot.starting:
            slot.starting = None
            self._on_failed_start(slot, process)
        elif process is slot.serving:
            slot.serving = None
            logger.error("worker %d has ended with %s: it is started again", slot.index, process.code)
            if slot.starting is None:
                slot.start_at = process.started_at + _MIN_PAUSE
        else:
            self._replace_next()

    def _on_failed_start(self, slot: _Slot, process: _Process) -> None:
        """Go on without a worker that has ended before it served."""
        slot.failures += 1
        if not self._has_announced:
            self._code = max(process.code or 0, 1)
            self._stop()
        elif slot.serving is None:
            logger.error("worker %d has ended with %s before it served: it is started again", slot.index, process.code)
            slot.start_at = process.started_at + min(_MIN_PAUSE * 2**slot.failures, _MAX_PAUSE)
        else:
            logger.error("the successor of worker %d has ended with %s before it served: no more are replaced", slot.index, process.code)
            self._to_replace.clear()

    def _replace_all(self) -> None:
        is_replacing = any(slot.starting for slot in self._slots)
        self._to_replace = deque(self._slots)
        if not is_replacing:
            self._replace_next()

    def _replace_next(self) -> None:
        while self._to_replace and not self._is_stopping:
            slot = self._to_replace.popleft()
            if slot.serving is not None and slot.starting is None:
                self._start(slot)
                return

    def _stop(self) -> None:
        if not self._is_stopping:
            notify("STOPPING=1")
        for process in self._running:
            process.send_signal(signal.SIGKILL if self._is_stopping else signal.SIGTERM)
        self._is_stopping = True
        for slot in self._slots:
            slot.starting = slot.start_at = None
