"""Timers: one thread that calls functions at a time, such as to send pings or to abort connections that take too long to close.

Threads that read wait in the kernel without a timeout; what must happen at a time happens here.
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


# Ten thousand connections have a thousand timers a second: timers this close to each other cost one wake-up.
_GRAIN_SECONDS = 0.02
_MAX_SLEEP_SECONDS = 86_400.0
# Cancelled timers are removed from the heap when there are this many, and at least half of all. The thread counts them after as many more.
_MIN_CANCELLED = 256


class Timer:
    """A function that will be called at a time, unless the timer is cancelled before."""

    __slots__ = ("_function", "_on_cancel")

    def __init__(self, function: Callable[[], None], on_cancel: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function
        self._on_cancel = on_cancel

    def cancel(self) -> None:
        """Do not call the function, unless that has begun. From any thread and any signal handler; never waits."""
        if self._function is not None:
            self._function = None
            self._on_cancel()

    def is_cancelled(self) -> bool:
        """Return True if the timer was cancelled."""
        return self._function is None

    def fire(self) -> None:
        """Call the function, unless the timer was cancelled."""
        function = self._function
        if function is not None:
            function()


class Timers:
    """A queue of timers and the thread that fires them.

    Methods may be called from any thread. `call_later` takes no lock, so that signal handlers and `__del__` may call it. Only `stop`
    waits.
    """

    def __init__(self) -> None:
        self._thread_lock = threading.Lock()  # guards `_thread` and the setting of `_is_stopping`; no other lock is taken while it is held
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self.ident = 0
        """The identifier of the thread; 0 while it does not run."""
        # Appended to by any thread, emptied by the timers thread: deques need no lock for that.
        self._new: deque[tuple[float, Timer]] = deque()
        self._cancellations: deque[None] = deque()  # one for each since cancelled timers were removed
        self._heap: list[tuple[float, int, Timer]] = []  # for the timers thread only
        self._number = 0  # of the newest timer in the heap, so that two timers of the same time are never compared
        self._wakes_at = -math.inf  # when the thread will look at the heap; it is awake at first
        self._alarm: SimpleQueue[None] = SimpleQueue()
        self._on_cancel = self._count_cancelled  # one bound method for all timers

    def start(self) -> None:
        """Start the thread unless it runs. Raises OSError if no thread can be started; call it again then."""
        with self._thread_lock:
            if self._thread is None and not self._is_stopping:
                self._thread = start_daemon(self._run, "wschat-timers")

    def call_later(self, seconds: float, function: Callable[[], None]) -> Timer:
        """Call a function in some seconds, from the timers thread. It must not wait for anything."""
        timer = Timer(function, self._on_cancel)
        at = monotonic() + seconds
        self._new.append((at, timer))
        # In this order: the thread sets `_wakes_at` before it looks at `_new` for the last time.
        if at + _GRAIN_SECONDS < self._wakes_at:
            self._alarm.put(None)
        return timer

    def __len__(self) -> int:
        """Return the number of timers, including cancelled ones that were not removed yet."""
        return len(self._heap) + len(self._new)

    def stop(self) -> None:
        """Stop the thread and wait until it has ended, unless it is the caller or the interpreter is finalizing."""
        with self._thread_lock:
            self._is_stopping = True
            thread = self._thread
        if thread is not None:
            self._alarm.put(None)
            join_daemon(thread)

    def _count_cancelled(self) -> None:
        self._cancellations.append(None)
        if not len(self._cancellations) % _MIN_CANCELLED:
            self._alarm.put(None)

    # The methods below are for the timers thread.

    def _run(self) -> None:
        self.ident = threading.get_ident()
        while not self._is_stopping:
            self._wakes_at = -math.inf
            self._push_new()
            self._remove_cancelled()
            for timer in self._pop_due():
                try:
                    timer.fire()
                except Exception:
                    logger.exception("a timer failed")
            self._sleep()

    def _push_new(self) -> None:
        for _ in range(len(self._new)):
            at, timer = self._new.popleft()
            self._number += 1
            heapq.heappush(self._heap, (at, self._number, timer))

    def _remove_cancelled(self) -> None:
        if len(self._cancellations) >= max(_MIN_CANCELLED, len(self._heap) // 2):
            self._cancellations.clear()
            self._heap = [entry for entry in self._heap if not entry[2].is_cancelled()]
            heapq.heapify(self._heap)

    def _pop_due(self) -> list[Timer]:
        due = []
        now = monotonic()
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due

    def _sleep(self) -> None:
        self._wakes_at = self._heap[0][0] + _GRAIN_SECONDS if self._heap else math.inf
        if not self._new:
            try:
                self._alarm.get(timeout=min(max(0.0, self._wakes_at - monotonic()), _MAX_SLEEP_SECONDS))
            except Empty:
                pass
