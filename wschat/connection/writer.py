"""The writer: the one thread that writes what could not be written at once, for all connections of the process."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections import deque
from time import monotonic
from typing import Protocol

from wschat.connection.cork import Cork, Outlet
from wschat.daemons import join_daemon, start_daemon

logger = logging.getLogger("wschat.connection")

# How long a turn may take until what it has put off is written all the same.
_CORK_SECONDS = 0.005


class Drainable(Protocol):
    """Something with a backlog and a descriptor that becomes writable."""

    def fileno(self) -> int:
        """The descriptor, or -1 if there is none any more."""

    def drain(self) -> bool:
        """Write without waiting; whether some is left."""


class Writer:
    """Drains the outboxes whose socket was full, cuts the turns short that take long, and goes on where another thread has done its share.

    Methods may be called from any thread, and none waits but `stop`.
    """

    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._is_stopping = False
        self._wake_up: socket.socket | None = None
        self.forget_all()

    def start(self) -> None:
        """Start the thread, if it does not run yet. Raises OSError for want of a thread or a descriptor; it may be called again then."""
        with self._starting:
            if self._thread is not None or self._is_stopping:
                return
            with contextlib.ExitStack() as opened:
                selector = opened.enter_context(selectors.DefaultSelector())
                woken, wake_up = map(opened.enter_context, socket.socketpair())
                woken.setblocking(False)
                wake_up.setblocking(False)
                selector.register(woken, selectors.EVENT_READ)
                thread = start_daemon(lambda: self._run(selector, woken), "wschat-writer")
                opened.pop_all()
            self._thread, self._wake_up = thread, wake_up

    def forget_all(self) -> None:
        """Begin anew, without a thread: in a new process, and in a forked child, which has none of its parent's threads."""
        self._starting = threading.Lock()  # guards the two below; taken last of all locks
        self._thread = None
        self.ident = 0
        if self._wake_up is not None:
            self._wake_up.close()
        self._wake_up = None
        # Appended to by any thread, emptied by the writer: deques need no lock for that.
        self._requests: deque[Drainable | int] = deque()
        self._corks: deque[Cork] = deque()
        self._jobs: deque[Outlet] = deque()
        self._is_ticking = False

    def watch(self, outbox: Drainable) -> None:
        """Drain this outbox as its socket takes more."""
        self._requests.append(outbox)
        self._wake()

    def forget(self, fileno: int) -> None:
        """Its descriptor is about to be closed, and may then be another socket's."""
        self._requests.append(fileno)
        self._wake()

    def watch_cork(self, cork: Cork) -> bool:
        """Cut this turn short within a few milliseconds; False if the writer is at its own end."""
        self._corks.append(cork)
        if not self._is_ticking:
            # Set before the wake-up, so that a busy time costs one, not one a turn.
            self._is_ticking = True
            self._wake()
        return not self._is_stopping

    def take_over(self, outlet: Outlet) -> None:
        """Go on flushing this one: the thread that did has its own work to return to."""
        self._jobs.append(outlet)
        self._wake()

    def stop(self) -> None:
        """End the thread and wait until it has ended (unless it is the one that calls, or the interpreter is finalizing)."""
        with self._starting:
            self._is_stopping = True
            thread = self._thread
        if thread is not None:
            self._wake()
            join_daemon(thread)

    def _wake(self) -> None:
        with self._starting:
            # Under the lock, or it might be closed just now, and the descriptor be another socket's.
            if self._wake_up is not None:
                try:
                    self._wake_up.send(b"\0")
                except OSError:
                    pass  # full, so it is awake; or closed, so it has stopped

    def _run(self, selector: selectors.BaseSelector, woken: socket.socket) -> None:
        self.ident = threading.get_ident()
        with selector, woken:
            turns_due: float | None = None
            while not self._is_stopping:
                try:
                    self._drain(selector.select(self._time_to_wait(turns_due)), selector)
                    self._serve_requests(selector)
                    self._do_jobs()
                    turns_due = self._release_due_corks(turns_due)
                except Exception:
                    logger.exception("the writer failed")  # for one; the others still need it
            try:
                # What was taken over is not lost.
                self._do_jobs()
                self._release_corks_early()
            except Exception:
                logger.exception("the writer failed")
        with self._starting:
            assert self._wake_up is not None
            self._wake_up.close()

    def _drain(self, ready: list[tuple[selectors.SelectorKey, int]], selector: selectors.BaseSelector) -> None:
        for key, _ in ready:
            if key.data is None:
                key.fileobj.recv(4096)  # type: ignore[union-attr]  # our own end of the pair
            elif not key.data.drain():
                selector.unregister(key.fd)

    def _do_jobs(self) -> None:
        for _ in range(len(self._jobs)):
            self._jobs.popleft().flush()

    def _time_to_wait(self, turns_due: float | None) -> float | None:
        if self._jobs or self._requests:
            return 0
        return None if turns_due is None else max(0.0, turns_due - monotonic())

    def _release_due_corks(self, due: float | None) -> float | None:
        """Cut the turns short that take long if it is time to; when it is to be done next."""
        if not self._is_ticking:
            return None
        if due is not None and monotonic() >= due:
            self._release_corks_early()
            due = None
        return due or (monotonic() + _CORK_SECONDS if self._is_ticking else None)

    def _serve_requests(self, selector: selectors.BaseSelector) -> None:
        while self._requests:
            request = self._requests.popleft()
            if isinstance(request, int):
                if request in selector.get_map():
                    selector.unregister(request)
            elif (fileno := request.fileno()) >= 0 and request.drain():
                try:
                    selector.register(fileno, selectors.EVENT_WRITE, request)
                except OSError:
                    pass  # closed just now: what is left has nowhere to go

    def _release_corks_early(self) -> None:
        for _ in range(len(self._corks)):
            self._corks.popleft().release_early()
        if not self._corks:
            self._is_ticking = False
            if self._corks:  # a turn that came in between found us ticking
                self._is_ticking = True
