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


# Ten thousand connections have a thousand deadlines a second: those within this time are kept together, with one awakening.
_GRAIN_SECONDS = 0.02


class Deadline:
    """Something that is going to be done at a time, unless it is cancelled before."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Have it not done, if it has not begun. From any thread; never waits."""
        self._action = None

    def is_cancelled(self) -> bool:
        """Whether it is not going to be done."""
        return self._action is None

    def keep(self) -> None:
        """Do it, unless it has been cancelled."""
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
        while (deadlines := self._wait_for_some()) is not None:
            for deadline in deadlines:
                try:
                    deadline.keep()
                except Exception:
                    logger.exception("a deadline failed")

    def _wait_for_some(self) -> list[Deadline] | None:
        """Wait for deadlines and take those that are due; None when it is time to stop."""
        with self._queue_changed:
            while not self._is_stopping:
                queue = self._queue
                while queue and queue[0][2].is_cancelled():
                    heapq.heappop(queue)
                remaining = queue[0][0] - monotonic() if queue else None
                if remaining is None or remaining > 0:
                    self._queue_changed.wait(None if remaining is None else min(remaining + _GRAIN_SECONDS, threading.TIMEOUT_MAX))
                    continue
                due = []
                now = monotonic()
                while queue and queue[0][0] <= now:
                    due.append(heapq.heappop(queue)[2])
                return due
            return None
