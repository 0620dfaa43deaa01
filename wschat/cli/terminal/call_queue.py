"""Calls that other threads ask the thread of the screen to make."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

MAX_CALLS = 1000
MAX_SECONDS_AT_ONCE = 0.05

Call = Callable[[], object]
"""A function without arguments, whose result is ignored."""


class CallQueue:
    """Calls in order. A thread that adds one waits while the queue is full, so a fast server is read only as fast as it is shown."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._max_calls = max_calls
        self._lock = threading.Lock()  # guards all attributes below
        self._changed = threading.Condition(self._lock)
        self._calls: deque[Call] = deque()
        self._wake_up: Call | None = None
        self._is_closed = False

    def open(self, wake_up: Call) -> None:
        """Call `wake_up`, from any thread, whenever `run_all` has something to do. It must not wait."""
        with self._lock:
            self._wake_up = wake_up
            is_waiting = bool(self._calls)
        if is_waiting:
            wake_up()

    def put(self, call: Call) -> bool:
        """Add a call, from any thread. Waits while the queue is full. Return False, without adding it, once the queue is closed."""
        with self._lock:
            self._changed.wait_for(lambda: self._is_closed or len(self._calls) < self._max_calls)
            if self._is_closed:
                return False
            self._calls.append(call)
            self._changed.notify_all()
            wake_up = self._wake_up if len(self._calls) == 1 else None
        if wake_up is not None:
            wake_up()
        return True

    def fail(self, error: Exception) -> None:
        """Have an exception raised in the thread of the screen, which ends it. Waits as `put` does."""

        def fail() -> None:
            raise error

        self.put(fail)

    def run_all(self) -> None:
        """Make the calls that are waiting. For the thread of the screen.

        After `MAX_SECONDS_AT_ONCE`, the rest is left for the next wake-up, so that keys are not kept waiting.
        """
        with self._lock:
            calls, self._calls = self._calls, deque()
            self._changed.notify_all()
        ends_at = monotonic() + MAX_SECONDS_AT_ONCE
        while calls and monotonic() < ends_at:
            calls.popleft()()
        if calls:
            with self._lock:
                self._calls.extendleft(reversed(calls))
            if self._wake_up is not None:
                self._wake_up()

    def run_to_end(self, timeout: float) -> None:
        """Make the calls that are waiting and those still added, until the queue is closed, for at most `timeout` seconds. Closes it."""
        ends_at = monotonic() + timeout
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._calls or self._is_closed, max(0, ends_at - monotonic()))
                if not self._calls or monotonic() > ends_at:
                    break
            self.run_all()
        self.close()

    def close(self) -> None:
        """Refuse further calls. Those that wait can still be made."""
        with self._lock:
            self._is_closed = True
            self._changed.notify_all()
