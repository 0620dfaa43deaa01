"""The writer: one thread that sends what could not be sent at once, for all connections of the process."""

from __future__ import annotations

import contextlib
import logging
import selectors
import threading
from collections import deque
from time import monotonic
from typing import Protocol

from wschat.connection.cork import Cork, Flushable
from wschat.daemons import join_daemon, start_daemon
from wschat.forks import close_in_child
from wschat.wakeup import WakeUp

logger = logging.getLogger("wschat.connection")

# How long a cork may hold writes back before it is released early.
_CORK_SECONDS = 0.005


class Drainable(Protocol):
    """A transport: something with a send buffer and a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor, or -1 once it is closed."""

    def drain(self) -> bool:
        """Write without waiting. Return True if some is left."""


class Writer:
    """Drains full send buffers, releases corks early, and goes on flushing for threads that have other work.

    Methods may be called from any thread; only `stop` waits.
    """

    def __init__(self) -> None:
        # Guards `_thread`, `_wake_up` and the setting of `_is_stopping`; taken last of all locks.
        self._thread_lock = threading.Lock()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self.ident = 0
        """The identifier of the thread; 0 while it does not run."""
        self._wake_up: WakeUp | None = None
        # Appended to by any thread, emptied by the writer thread: deques need no lock for that.
        self._requests: deque[Drainable | int] = deque()  # transports to watch, descriptors to unwatch
        self._corks: deque[Cork] = deque()  # to be released early
        self._flushables: deque[Flushable] = deque()  # to be flushed
        self._is_ticking = False  # the thread wakes up in time to release corks

    def start(self) -> None:
        """Start the thread unless it runs. Raises OSError if there is no thread or descriptor left; call it again then."""
        with self._thread_lock:
            if self._thread is not None or self._is_stopping:
                return
            with contextlib.ExitStack() as opened:
                selector = opened.enter_context(selectors.DefaultSelector())
                close_in_child(selector)
                wake_up = opened.enter_context(contextlib.closing(WakeUp()))
                selector.register(wake_up, selectors.EVENT_READ)
                thread = start_daemon(lambda: self._run(selector, wake_up), "wschat-writer")
                opened.pop_all()
            self._thread, self._wake_up = thread, wake_up

    def watch(self, transport: Drainable) -> None:
        """Drain this transport whenever its socket is writable, until nothing is left."""
        self._requests.append(transport)
        self._wake()

    def unwatch(self, fileno: int) -> None:
        """Stop watching a descriptor that is about to be closed, and may be another socket's after that."""
        self._requests.append(fileno)
        self._wake()

    def schedule_release(self, cork: Cork) -> bool:
        """Release this cork early within a few milliseconds. Return False if the writer is stopping."""
        self._corks.append(cork)
        if not self._is_ticking:
            # Set before the wake-up, so that a busy time costs one wake-up, not one for each cork.
            self._is_ticking = True
            self._wake()
        return not self._is_stopping

    def flush_soon(self, flushable: Flushable) -> None:
        """Flush this from the writer thread."""
        self._flushables.append(flushable)
        self._wake()

    def stop(self) -> None:
        """Stop the thread and wait until it has ended, unless it is the caller or the interpreter is finalizing."""
        with self._thread_lock:
            self._is_stopping = True
            thread = self._thread
        if thread is not None:
            self._wake()
            join_daemon(thread)

    def _wake(self) -> None:
        with self._thread_lock:
            # With the lock held: else it could be closed now, and its descriptor be another socket's.
            if self._wake_up is not None:
                self._wake_up.send()

    def _run(self, selector: selectors.BaseSelector, wake_up: WakeUp) -> None:
        self.ident = threading.get_ident()
        with selector:
            release_at: float | None = None
            while not self._is_stopping:
                try:
                    self._drain(selector.select(self._select_timeout(release_at)), selector, wake_up)
                    self._process_requests(selector)
                    self._flush_all()
                    release_at = self._release_due_corks(release_at)
                except Exception:
                    logger.exception("the writer failed")  # for one connection; the others still need the thread
            try:
                # Nothing that was handed to this thread is lost.
                self._flush_all()
                self._release_corks_early()
            except Exception:
                logger.exception("the writer failed")
        with self._thread_lock:
            wake_up.close()

    def _drain(self, ready: list[tuple[selectors.SelectorKey, int]], selector: selectors.BaseSelector, wake_up: WakeUp) -> None:
        for key, _ in ready:
            if key.data is None:
                wake_up.clear()
            elif not key.data.drain():
                selector.unregister(key.fd)

    def _flush_all(self) -> None:
        for _ in range(len(self._flushables)):
            self._flushables.popleft().flush()

    def _select_timeout(self, release_at: float | None) -> float | None:
        if self._flushables or self._requests:
            return 0
        return None if release_at is None else max(0.0, release_at - monotonic())

    def _release_due_corks(self, due: float | None) -> float | None:
        """Release the corks if it is time to. Return the time of the next release, or None if there is none."""
        if not self._is_ticking:
            return None
        if due is not None and monotonic() >= due:
            self._release_corks_early()
            due = None
        return due or (monotonic() + _CORK_SECONDS if self._is_ticking else None)

    def _process_requests(self, selector: selectors.BaseSelector) -> None:
        while self._requests:
            request = self._requests.popleft()
            if isinstance(request, int):
                if request in selector.get_map():
                    selector.unregister(request)
            elif (fileno := request.fileno()) >= 0 and request.drain():
                try:
                    selector.register(fileno, selectors.EVENT_WRITE, request)
                except OSError:
                    pass  # closed meanwhile: what is left cannot be sent

    def _release_corks_early(self) -> None:
        for _ in range(len(self._corks)):
            self._corks.popleft().release_early()
        if not self._corks:
            self._is_ticking = False
            if self._corks:  # one that was added in between, when `_is_ticking` was still True
                self._is_ticking = True
