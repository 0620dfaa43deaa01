"""The pauses between attempts to connect: they grow, with jitter, up to a limit. Pure: no clock, no waiting."""

from __future__ import annotations

import random
from collections.abc import Callable

from wschat.errors import UsageError

_FIRST_PAUSE = 1.0
_FACTOR = 2.0
# The least part of a pause that is not left to chance. With pauses up to 60 s, eleven openings then take at least a minute.
_LEAST_PART = 0.2


class Backoff:
    """The pauses after consecutive failures: random, up to a bound that doubles from 1 second to `max_pause`. For one thread."""

    def __init__(self, max_pause: float, uniform: Callable[[float, float], float] = random.uniform) -> None:
        """`uniform` returns a random number between two numbers. Raises UsageError unless `max_pause` is positive."""
        if not max_pause > 0:
            raise UsageError(f"max_pause must be more than 0 seconds, not {max_pause!r}")
        self._max_pause = max_pause
        self._uniform = uniform
        self.failures = 0
        """The number of pauses since the last `reset`."""

    def next_pause(self) -> float:
        """Return the seconds to wait after one more failure."""
        # Beyond 2**63 seconds every limit has been reached.
        longest = min(self._max_pause, _FIRST_PAUSE * _FACTOR ** min(self.failures, 63))
        self.failures += 1
        return self._uniform(_LEAST_PART * longest, longest)

    def reset(self) -> None:
        """Begin anew with the shortest pause."""
        self.failures = 0
