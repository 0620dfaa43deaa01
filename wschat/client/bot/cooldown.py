"""The time that must pass until the same sender may use a command again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

_MIN_PURGED = 1000  # senders; with fewer, expired ones are not removed


class Cooldown:
    """Remembers when senders may use a command again, from any thread."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        # Guards all below. No other lock is taken while it is held.
        self._lock = threading.Lock()
        self._ends_at: dict[str, float] = {}
        self._told: set[str] = set()
        self._purge_at = _MIN_PURGED

    def begin(self, sender: str) -> float:
        """Begin the sender's cool-down and return 0, or return the seconds that are left of one that has not ended."""
        if not self._seconds:
            return 0.0
        now = self._clock()
        with self._lock:
            ends_at = self._ends_at.get(sender, now)
            if ends_at > now:
                return ends_at - now
            self._ends_at[sender] = now + self._seconds
            self._told.discard(sender)
            if len(self._ends_at) > self._purge_at:
                self._purge(now)
            return 0.0

    def tell(self, sender: str) -> bool:
        """Return True for the first call within a cool-down: the sender is told once to wait."""
        with self._lock:
            is_first = sender not in self._told
            self._told.add(sender)
            return is_first

    def _purge(self, now: float) -> None:
        assert self._lock.locked()
        self._ends_at = {sender: ends_at for sender, ends_at in self._ends_at.items() if ends_at > now}
        self._told &= self._ends_at.keys()
        self._purge_at = max(_MIN_PURGED, 2 * len(self._ends_at))
