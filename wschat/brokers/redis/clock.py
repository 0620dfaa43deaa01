"""The clock of Redis, which all nodes share, as it is told with each reply to an append."""

from __future__ import annotations

from time import monotonic

from wschat.brokers.clock import Clock


class RedisClock(Clock):
    """Goes on from the last time that Redis told. From any thread."""

    def __init__(self, time: float) -> None:
        super().__init__()
        self._told = (time, monotonic())  # replaced as a whole, so that no lock is needed

    def set(self, time: float) -> None:
        """Note a time that Redis has just told."""
        self._told = (time, monotonic())

    def relied_on(self) -> float:
        time, at = self._told
        return time + monotonic() - at

    def time_after(self, last: float) -> float:
        return max(self.relied_on(), last)
