"""The time that a peer has for its part of an HTTP exchange: to send a request, or to take a part of the response.

A connection starts its timeout anew for each request and each part of a response, but has one timer at a time: a client that
sends thousands of requests a second must not fill the timers' queue with cancelled timers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from wschat.connection.timers import Timer, Timers


class PeerTimeout:
    """The timeout of one connection's peer. `on_timeout` is called in the timers' thread. Thread-safe."""

    def __init__(self, timers: Timers, on_timeout: Callable[[], None]) -> None:
        self._timers = timers
        self._on_timeout = on_timeout
        self._deadline_lock = threading.Lock()  # guards all attributes below; the timers' lock is taken while it is held
        self._deadline: float | None = None
        self._timer: Timer | None = None
        self._timer_at = 0.0  # when the timer calls; not later than the deadline

    def start(self, timeout: float) -> None:
        """Give the peer `timeout` seconds from now; 0 is no limit. Replaces an earlier deadline."""
        with self._deadline_lock:
            self._deadline = monotonic() + timeout if timeout else None
            if self._deadline is not None and (self._timer is None or self._deadline < self._timer_at):
                self._schedule(timeout)

    def stop(self) -> None:
        """Drop the deadline: the peer has done its part."""
        with self._deadline_lock:
            self._deadline = None

    def close(self) -> None:
        """Drop the deadline and cancel the timer."""
        with self._deadline_lock:
            self._deadline = None
            if self._timer is not None:
                self._timer.cancel()

    def _schedule(self, seconds: float) -> None:
        assert self._deadline_lock.locked()
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = monotonic() + seconds
        self._timer = self._timers.call_later(seconds, self._check)

    def _check(self) -> None:
        with self._deadline_lock:
            self._timer = None
            if self._deadline is None:
                return
            left = self._deadline - monotonic()
            if left > 0:
                self._schedule(left)
                return
        self._on_timeout()
