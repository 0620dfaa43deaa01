"""Deadlines: the one thread that ends what takes too long, and that wakes connections to ping.

Readers wait in the kernel without a timeout; whatever has to happen at a time happens here. What a ping means is the
connection's business.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from time import monotonic

logger = logging.getLogger("wschat.connection")


class Deadline:
    """Something that is going to be done at a time, unless it is cancelled before."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Have it not done, if it has not begun. From any thread; never waits."""
        self._action = None

    def _run(self) -> None:
        action = self._action
        if action is not None:
            action()


class Deadlines:
    """A queue of deadlines and the thread that keeps them. Methods may be called from any thread, and none waits but `stop`."""

    def __init__(self) -> None:
        self._queue_changed = threading.Condition()  # guards all below; taken last of all locks
        self._queue: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()  # so that two deadlines of one time are never compared
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, action: Callable[[], None]) -> Deadline:
        """Have this done in some seconds, in the deadlines' thread; it must not wait for anything."""
        deadline = Deadline(action)
        entry = (monotonic() + seconds, next(self._numbers), deadline)
        with self._queue_changed:
            heapq.heappush(self._queue, entry)
            if self._thread is None:
                # A daemon, so that a program that forgets to close a connection can end all the same.
                self._thread = threading.Thread(target=self._run, name="wschat-deadlines", daemon=True)
                self._thread.start()
            elif self._queue[0] is entry:
                self._queue_changed.notify()
        return deadline

    def stop(self) -> None:
        """End the thread and wait until it has ended (unless it is the one that calls)."""
        with self._queue_changed:
            self._is_stopping = True
            self._queue_changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while (deadline := self._next()) is not None:
            try:
                deadline._run()
            except Exception:
                logger.exception("a deadline failed")

    def _next(self) -> Deadline | None:
        """Wait for the next deadline that is due; None when it is time to stop."""
        with self._queue_changed:
            while not self._is_stopping:
                if not self._queue:
                    self._queue_changed.wait()
                    continue
                remaining = self._queue[0][0] - monotonic()
                if remaining <= 0:
                    return heapq.heappop(self._queue)[2]
                self._queue_changed.wait(remaining)
            return None
