"""The clock of the functions that are called at intervals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic

from wschat.client.bot.handlers import Periodic
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.timers import Timer


class Schedule:
    """Calls `fire` with each function that is due, in the timers thread of the process: it must not wait."""

    def __init__(self, periodic: Sequence[Periodic], fire: Callable[[Periodic], object]) -> None:
        self._periodic = list(periodic)
        self._fire = fire
        # Guards the two below. No other lock is taken while it is held.
        self._lock = threading.Lock()
        self._timers: dict[int, Timer] = {}  # by the place of the function
        self._is_stopped = False

    def start(self) -> None:
        """Start the clock. Raises OSError if a thread cannot be started."""
        self._background = acquire_background_threads()
        now = monotonic()
        for place, periodic in enumerate(self._periodic):
            self._arm(place, now + periodic.seconds)

    def stop(self) -> None:
        """Stop the clock. A call of `fire` may still be in progress."""
        with self._lock:
            self._is_stopped = True
            timers = list(self._timers.values())
        for timer in timers:
            timer.cancel()
        release_background_threads(self._background)

    def _arm(self, place: int, due_at: float) -> None:
        with self._lock:
            if not self._is_stopped:
                seconds = max(0.0, due_at - monotonic())
                self._timers[place] = self._background.timers.call_later(seconds, lambda: self._ring(place, due_at))

    def _ring(self, place: int, due_at: float) -> None:
        periodic = self._periodic[place]
        self._fire(periodic)
        # Times that have passed meanwhile, as while the machine was suspended, are left out.
        self._arm(place, max(due_at + periodic.seconds, monotonic()))
