"""`wschat serve --workers N`: the process that starts N workers, which share a port, and restarts those that end.

It serves nobody itself. It keeps the listening sockets open, so that no connection is refused while a worker is replaced. Each worker is
this command once more, with a socket to serve and a link: over it a worker reports that it serves and is told that it is replaced, and both
notice the end of the other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
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
_MAX_DOUBLINGS = 5
_START_TIMEOUT = 60.0  # seconds after which a worker that does not serve yet is killed
_STOP_TIMEOUT = 10.0  # seconds for which a worker that is to stop has not ended after its drain, after which it is killed
_CANNOT_SERVE = 2  # the exit code of a worker that has said why


class Port:
    """A port that sockets share, among which the kernel distributes connections. Raises UsageError, and OSError if it is in use."""

    def __init__(self, address: tuple[str, int], backlog: int) -> None:
        if sys.platform != "linux":
            raise UsageError("--workers needs Linux, which distributes connections among processes that share a port")
        self._family, self._backlog, self._address = family_of(address), backlog, address
        with naming(address), self._bound() as alone:  # fails if another server listens there, even one that would share the port
            self._address = (address[0], alone.getsockname()[1])

    def listen(self) -> socket.socket:
        """Return one more socket that listens. Raises OSError."""
        with naming(self._address):
            sock = self._bound(socket.SO_REUSEPORT)
            sock.listen(self._backlog)
        return sock

    def _bound(self, *options: int) -> socket.socket:
        sock = socket.socket(self._family)
        try:
            for option in (socket.SO_REUSEADDR, *options):
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
            sock.bind(self._address)
        except BaseException:
            sock.close()
            raise
        return sock


class _Process:
    """A worker that was started. Calls functions when it serves and when it has ended, in a thread of its own."""

    def __init__(self, index: int, listening: socket.socket, *, on_ready: _Report, on_end: _Report) -> None:
        self.started_at = monotonic()
        self.kill_at: float | None = self.started_at + _START_TIMEOUT
        """When to kill it, if it has not served or not ended by then; None for never."""
        self.announcement = ""
        """What it serves, once it does."""
        self.end = ""
        """How it has ended."""
        self.code: int | None = None
        """Its exit code, once it has ended."""
        self._link, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
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
            self.code = code = self._process.wait()
        self.end = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
        on_end(self)

    def replace(self, drain: float) -> None:
        """Tell the worker to stop because another one serves its socket."""
        self.kill_at = monotonic() + drain + _STOP_TIMEOUT
        with contextlib.suppress(OSError):  # it has ended
            self._link.send(b"\n")

    def stop(self, drain: float) -> None:
        """Tell the worker to stop."""
        self.kill_at = monotonic() + drain + _STOP_TIMEOUT
        self._process.terminate()

    def kill(self) -> None:
        """End the worker at once."""
        self.kill_at = None
        self._process.kill()


_Report = Callable[[_Process], None]


class _Slot:
    """A place for one worker."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.listening: socket.socket | None = None  # None as long as no worker can be started, so that no connection waits for one
        self.serving: _Process | None = None
        self.starting: _Process | None = None
        self.failures = 0  # workers in a row that have ended before they served
        self.start_at: float | None = None  # when to start the next, if one has ended


class Workers:
    """Starts and replaces workers. `serve` does everything in the calling thread; `stop` and `replace` may be called from any."""

    def __init__(self, number: int, listen: Callable[[], socket.socket], drain: float) -> None:
        """`listen` returns a socket for one more worker, and `drain` is the time in seconds that each may take to stop."""
        self._listen, self._drain = listen, drain
        self._slots = [_Slot(index) for index in range(number)]
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # All below is for the thread that serves.
        self._running: set[_Process] = set()
        self._to_replace: deque[_Slot] = deque()
        self._replacing: _Slot | None = None  # until its former worker has ended
        self._has_announced = self._is_stopping = False
        self._code = 0

    def serve(self) -> int:
        """Start the workers, and return the exit code once all have ended: 0, unless the first ones could not serve. Raises OSError."""
        with Signals(self._actions_on_signals()):
            for slot in self._slots:
                self._start(slot)
            while self._running or not self._is_stopping:
                try:
                    self._events.get(timeout=self._pause())()
                except queue.Empty:
                    self._do_what_is_due()
        return self._code

    def stop(self) -> None:
        """Stop all workers."""
        self._events.put(self._stop)

    def replace(self) -> None:
        """Replace one worker after another: each is stopped once its successor serves."""
        self._events.put(self._replace_all)

    def _actions_on_signals(self) -> dict[int, Callable[[], None]]:
        actions = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            actions[signal.SIGHUP] = self.replace
        return {int(number): action for number, action in actions.items()}

    def _pause(self) -> float | None:
        """Return the seconds until something is due, None if nothing is."""
        times = [slot.start_at for slot in self._slots] + [process.kill_at for process in self._running]
        due = [time for time in times if time is not None]
        return max(min(due) - monotonic(), 0.0) if due else None

    def _do_what_is_due(self) -> None:
        now = monotonic()
        for process in self._running:
            if process.kill_at is not None and process.kill_at <= now:
                logger.error("a worker has not %s in time: it is killed", "stopped" if process.announcement else "started to serve")
                process.kill()
        for slot in self._slots:
            if slot.start_at is not None and slot.start_at <= now:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        slot.start_at = None
        try:
            slot.listening = slot.listening or self._listen()
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
            self._on_failed_start(slot, monotonic(), f"cannot be started: {error}")

    def _on_ready(self, slot: _Slot, process: _Process) -> None:
        if slot.starting is not process:
            return  # it has been told to stop
        former, slot.serving, slot.starting, slot.failures = slot.serving, process, None, 0
        process.kill_at = None
        if former is not None:
            former.replace(self._drain)
        elif slot is self._replacing:
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
            self._on_failed_start(slot, process.started_at, process.end, process.code)
        elif process is slot.serving:
            slot.serving = None
            logger.error("worker %d %s: restarting it", slot.index, process.end)
            if slot.starting is None:
                slot.start_at = process.started_at + _MIN_PAUSE
        elif slot is self._replacing:
            self._replace_next()

    def _on_failed_start(self, slot: _Slot, started_at: float, end: str, code: int | None = None) -> None:
        """Go on without a worker that has ended before it served."""
        slot.failures += 1
        if not self._has_announced:
            if code != _CANNOT_SERVE:
                logger.error("worker %d %s before it served", slot.index, end)
            self._code = max(code or 0, 1)
            self._stop()
        elif slot.serving is None:
            logger.error("worker %d %s before it served: restarting it", slot.index, end)
            slot.start_at = started_at + min(_MIN_PAUSE * 2 ** min(slot.failures, _MAX_DOUBLINGS), _MAX_PAUSE)
            if slot.listening is not None:
                slot.listening.close()
                slot.listening = None
        else:
            logger.error("the successor of worker %d %s before it served: no more are replaced", slot.index, end)
            self._to_replace.clear()
            self._replacing = None

    def _replace_all(self) -> None:
        self._to_replace = deque(self._slots)
        if self._replacing is None:
            self._replace_next()

    def _replace_next(self) -> None:
        self._replacing = None
        while self._to_replace and self._replacing is None and not self._is_stopping:
            slot = self._to_replace.popleft()
            if slot.serving is not None and slot.starting is None:
                self._start(slot)
                self._replacing = slot if slot.starting is not None else None

    def _stop(self) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        notify("STOPPING=1")
        for slot in self._slots:
            slot.starting = slot.start_at = None
        for process in self._running:
            process.stop(self._drain)
