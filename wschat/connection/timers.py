"""Timers: the one thread that ends what takes too long, and that wakes connections to ping.

Readers wait in the kernel without a timeout; whatever has to happen at a time happens here. What a ping means is the
connection's business.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic

from wschat.daemons import join_daemon, start_daemon

logger = logging.getLogger("wschat.connection")


# Ten thousand connections have a thousand timers a second: those within this time are kept together, with one awakening.
_GRAIN_SECONDS = 0.02
_LONGEST_SLEEP = 86_400.0
# The queue is rid of cancelled timers when there are so many of them, and no fewer than others.
_MANY_CANCELLED = 256


class Timer:
    """An action that is going to be called at a time, unless it is cancelled before."""

    __slots__ = ("_action", "_cancelled")

    def __init__(self, action: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action
        self._cancelled = cancelled

    def cancel(self) -> None:
        """Do not call the action, if that has not begun. From any thread and any signal handler; never waits."""
        if self._action is not None:
            self._action = None
            self._cancelled()

    def is_cancelled(self) -> bool:
        """Return True if the action is not going to be called."""
        return self._action is None

    def fire(self) -> None:
        """Call the action, unless it has been cancelled."""
        action = self._action
        if action is not None:
            action()


class Timers:
    """A queue of timers and the thread that keeps them.

    Methods may be called from any thread, `call_later` also from a signal handler and from `__del__`: it takes no lock. None waits but
    `stop`.
    """

    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._is_stopping = False
        self.forget_all()

    def start(self) -> None:
        """Start the thread, if it does not run yet. Raises OSError if there is none to be had; it may be called again then."""
        with self._starting:
            if self._thread is None and not self._is_stopping:
                self._thread = start_daemon(self._run, "wschat-timers")

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Have an action called in some seconds, by the timers' thread; it must not wait for anything."""
        timer = Timer(action, self._cancelled)
        at = monotonic() + seconds
        self._new.append((at, timer))
        # Only then: the thread says when it wakes up before it looks once more for what is new.
        if at + _GRAIN_SECONDS < self._wakes_at:
            self._alarm.put(None)
        return timer

    def __len__(self) -> int:
        """How many timers are kept in mind, cancelled ones included."""
        return len(self._queue) + len(self._new)

    def stop(self) -> None:
        """End the thread and wait until it has ended (unless it is the one that calls, or the interpreter is finalizing)."""
        with self._starting:
            self._is_stopping = True
            thread = self._thread
        if thread is not None:
            self._alarm.put(None)
            join_daemon(thread)

    def forget_all(self) -> None:
        """Begin anew, without a thread: in a new process, and in a forked child, which has none of its parent's threads."""
        self._starting = threading.Lock()  # guards `_thread`; nothing else is locked while it is held
        self._thread = None
        self.ident = 0
        self._new: deque[tuple[float, Timer]] = deque()  # appended to by any thread, emptied by the timers' own
        self._queue: list[tuple[float, int, Timer]] = []  # a heap, for the timers' thread only
        self._number = 0  # of the newest in the heap, so that two timers of one time are never compared
        self._wakes_at = -math.inf  # when the thread looks again; it is awake in the beginning
        self._alarm: SimpleQueue[None] = SimpleQueue()
        self._cancellations: deque[None] = deque()  # one for each since the heap was rid of them
        self._cancelled = self._count_cancelled  # bound once for all timers

    def _count_cancelled(self) -> None:
        self._cancellations.append(None)
        if not len(self._cancellations) % _MANY_CANCELLED:
            self._alarm.put(None)

    # All below: for the timers' thread.

    def _run(self) -> None:
        self.ident = threading.get_ident()
        while not self._is_stopping:
            self._wakes_at = -math.inf
            self._take_new()
            self._drop_cancelled()
            for timer in self._due():
                try:
                    timer.fire()
                except Exception:
                    logger.exception("a timer failed")
            self._sleep()

    def _take_new(self) -> None:
        for _ in range(len(self._new)):
            at, timer = self._new.popleft()
            self._number += 1
            heapq.heappush(self._queue, (at, self._number, timer))

    def _drop_cancelled(self) -> None:
        if len(self._cancellations) >= max(_MANY_CANCELLED, len(self._queue) // 2):
            self._cancellations.clear()
            self._queue = [entry for entry in self._queue if not entry[2].is_cancelled()]
            heapq.heapify(self._queue)

    def _due(self) -> list[Timer]:
        due = []
        now = monotonic()
        while self._queue and self._queue[0][0] <= now:
            due.append(heapq.heappop(self._queue)[2])
        return due

    def _sleep(self) -> None:
        self._wakes_at = self._queue[0][0] + _GRAIN_SECONDS if self._queue else math.inf
        if not self._new:
            try:
                self._alarm.get(timeout=min(max(0.0, self._wakes_at - monotonic()), _LONGEST_SLEEP))
            except Empty:
                pass
