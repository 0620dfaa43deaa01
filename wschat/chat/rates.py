"""Rates: how many requests are accepted from one connection, or from one caller over HTTP. Each allowance is a token bucket."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic

from wschat.errors import UsageError

# The size of a burst after a pause, as a multiple of the rate.
_BURST = 3
# The most messages, and the most seconds, of a rate: beyond that, numbers overflow.
_MOST = 1_000_000_000
# The number of callers from which on full allowances are dropped.
_FEW_CALLERS = 1000


@dataclass(frozen=True)
class Rate:
    """So many messages in so many seconds on average, and three times as many at once."""

    messages: int = 10
    """The number of messages."""
    seconds: float = 1.0
    """The time for them."""

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Return the rate written as `N/SECONDS`, None for `off`. Raises UsageError."""
        if text == "off":
            return None
        messages, slash, seconds = text.partition("/")
        try:
            rate = cls(int(messages), float(seconds))
        except ValueError:
            rate = cls(0)
        if not slash or not 1 <= rate.messages <= _MOST or not 1 / _MOST <= rate.seconds <= _MOST:
            raise UsageError(f"a rate must be N/SECONDS, 10/1 for example, or off, not {text!r}")
        return rate

    def __str__(self) -> str:
        return f"{self.messages} in {self.seconds:g} s"


class Allowance:
    """What one connection may still send. For the thread that receives."""

    __slots__ = ("_at", "_burst", "_left", "_per_second", "_refused")

    def __init__(self, rate: Rate) -> None:
        self._per_second = rate.messages / rate.seconds
        self._burst = float(_BURST * rate.messages)
        self._left = self._burst
        self._at = monotonic()
        self._refused = 0

    def try_acquire(self) -> bool:
        """Count one message. Return False if there is no allowance left for it."""
        self._refill()
        if self._left == self._burst:
            self._refused = 0
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        return True

    def spend(self, cost: float) -> None:
        """Count this much, which may be more than is left: then the difference must be refilled first."""
        self._refill()
        self._left -= cost

    def refund(self) -> None:
        """Do not count the last message that was acquired."""
        self._left = min(self._burst, self._left + 1)

    def _refill(self) -> None:
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now

    @property
    def seconds_left(self) -> float:
        """The time in seconds until the next message can be acquired."""
        return max(0.0, (1 - self._left) / self._per_second - (monotonic() - self._at))

    @property
    def is_full(self) -> bool:
        """True if a whole burst can be acquired."""
        return self._left + (monotonic() - self._at) * self._per_second >= self._burst

    @property
    def is_news(self) -> bool:
        """True if the message that was refused last is the first one since the allowance was full."""
        return self._refused == 1

    @property
    def is_abused(self) -> bool:
        """True if a whole burst of messages was refused without a pause: the client ignores the errors."""
        return self._refused >= self._burst


class Allowances:
    """The allowances of callers, by their keys. From any thread."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        # Guards the allowances and what is in them, and the number below. No lock is taken while it is held.
        self._allowances_lock = threading.Lock()
        self._allowances: dict[str, Allowance] = {}
        self._drop_full_at = _FEW_CALLERS

    def try_acquire(self, caller: str) -> float | None:
        """Count one request of this caller and return None, or return the seconds until it can be accepted."""
        with self._allowances_lock:
            allowance = self._allowance_of(caller)
            return None if allowance.try_acquire() else allowance.seconds_left

    def spend(self, caller: str, cost: float) -> None:
        """Count this much for this caller, which may be more than is left."""
        with self._allowances_lock:
            self._allowance_of(caller).spend(cost)

    def seconds_left(self, caller: str) -> float:
        """Return the time in seconds until the next request of this caller can be accepted."""
        with self._allowances_lock:
            allowance = self._allowances.get(caller)
            return 0.0 if allowance is None else allowance.seconds_left

    def refund(self, caller: str) -> None:
        """Do not count the last request of this caller that was acquired."""
        with self._allowances_lock:
            if caller in self._allowances:
                self._allowances[caller].refund()

    def _allowance_of(self, caller: str) -> Allowance:
        assert self._allowances_lock.locked()
        if len(self._allowances) >= self._drop_full_at:
            self._drop_full()
        return self._allowances.setdefault(caller, Allowance(self._rate))

    def _drop_full(self) -> None:
        """Drop full allowances, which are as good as new ones."""
        assert self._allowances_lock.locked()
        self._allowances = {caller: allowance for caller, allowance in self._allowances.items() if not allowance.is_full}
        self._drop_full_at = max(_FEW_CALLERS, 2 * len(self._allowances))
