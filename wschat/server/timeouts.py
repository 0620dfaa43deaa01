"""PeerTimeout with one peer: it is cut off when it takes too long, to send or to take.

However often that begins anew, with each request and each part of an answer, there is one timer at a time: who asks for
ten thousand things a second must not fill the timers' queue with what is over already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from wschat.connection.timers import Timer, Timers


class PeerTimeout:
    """For the peer of one connection. `cut` ends it, and is called from the timers' thread."""

    def __init__(self, timers: Timers, cut: Callable[[], None]) -> None:
        self._timers = timers
        self._cut = cut
        self._guard = threading.Lock()  # guards all below; the timers' lock is taken while it is held
        self._ends_at: float | None = None
        self._timer: Timer | None = None
        self._looks_at = 0.0

    def begin(self, seconds: float) -> None:
        """From here on the peer has so many seconds, 0 for as many as it likes."""
        with self._guard:
            self._ends_at = monotonic() + seconds if seconds else None
            if self._ends_at is not None and (self._timer is None or self._ends_at < self._looks_at):
                self._look_after(seconds)

    def end(self) -> None:
        """The peer has done what it had to."""
        with self._guard:
            self._ends_at = None

    def close(self) -> None:
        """There is nothing more to wait for."""
        with self._guard:
            self._ends_at = None
            if self._timer is not None:
                self._timer.cancel()

    def _look_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = monotonic() + seconds
        self._timer = self._timers.call_later(seconds, self._look)

    def _look(self) -> None:
        """For the timers' thread."""
        with self._guard:
            self._timer = None
            if self._ends_at is None:
                return
            left = self._ends_at - monotonic()
            if left > 0:
                self._look_after(left)
                return
        self._cut()
