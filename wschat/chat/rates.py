"""Rates: how many messages of one connection are taken, or of one caller who has none."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic

from wschat.errors import UsageError

# What may come at once after a while of silence, as a multiple of the rate.
_BURST = 3
# Of messages and of seconds: further than that nobody counts, and numbers overflow.
_MOST = 1_000_000_000
# So many callers may be known before it is worth looking which of them need not be.
_FEW_CALLERS = 1000


@dataclass(frozen=True)
class Rate:
    """So many messages in so many seconds, in the long run; three times as many at once."""

    messages: int = 10
    seconds: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """The rate that `N/SECONDS` names; None for `off`. Raises UsageError."""
        if text == "off":
            return None
        messages, slash, seconds = text.partition("/")
        try:
            rate = cls(int(messages), float(seconds))
        except ValueError:
            rate = cls(0)
        if not slash or not 1 <= rate.messages <= _MOST or not 1 / _MOST <= rate.seconds <= _MOST:
            raise UsageError(f"a rate is N/SECONDS, 10/1 for example, or off, not {text!r}")
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

    def take(self) -> bool:
        """Whether one more message is taken."""
        self._fill_up()
        if self._left == self._burst:
            self._refused = 0
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        return True

    def spend(self, cost: float) -> None:
        """Count so much more, which may be more than is left: then nothing is taken until that is made up for."""
        self._fill_up()
        self._left -= cost

    def _fill_up(self) -> None:
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now

    def give_back(self) -> None:
        """The last message that was taken does not count."""
        self._left = min(self._burst, self._left + 1)

    @property
    def seconds_left(self) -> float:
        """How long it is until one more is taken."""
        return max(0.0, (1 - self._left) / self._per_second - (monotonic() - self._at))

    @property
    def is_whole(self) -> bool:
        """Whether there is room for a burst again."""
        return self._left + (monotonic() - self._at) * self._per_second >= self._burst

    @property
    def is_news(self) -> bool:
        """Whether the message that was refused last is the first one since there was room for a burst."""
        return self._refused == 1

    @property
    def is_abused(self) -> bool:
        """Whether as many messages as make a burst were refused without a pause: somebody does not read what is answered."""
        return self._refused >= self._burst


class Allowances:
    """The allowances of callers who come anew with each request, by what they are known by. From any thread."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._guard = threading.Lock()  # guards the allowances and what is in them; nothing else is locked while it is held
        self._allowances: dict[str, Allowance] = {}
        self._look_again_at = _FEW_CALLERS

    def take(self, caller: str) -> float | None:
        """Take one request of this caller: None if that may be, else the seconds until it may."""
        with self._guard:
            if len(self._allowances) >= self._look_again_at:
                self._forget_the_quiet()
            allowance = self._allowances.setdefault(caller, Allowance(self._rate))
            return None if allowance.take() else allowance.seconds_left

    def spend(self, caller: str, cost: float) -> None:
        """Count so much for this caller, which may be more than is left."""
        with self._guard:
            if len(self._allowances) >= self._look_again_at:
                self._forget_the_quiet()
            self._allowances.setdefault(caller, Allowance(self._rate)).spend(cost)

    def seconds_left(self, caller: str) -> float:
        """How long it is until one request of this caller would be taken."""
        with self._guard:
            allowance = self._allowances.get(caller)
            return 0.0 if allowance is None else allowance.seconds_left

    def give_back(self, caller: str) -> None:
        """One request that was taken of this caller does not count."""
        with self._guard:
            if caller in self._allowances:
                self._allowances[caller].give_back()

    def _forget_the_quiet(self) -> None:
        """Those who have all their allowance again are as good as new."""
        self._allowances = {caller: allowance for caller, allowance in self._allowances.items() if not allowance.is_whole}
        self._look_again_at = max(_FEW_CALLERS, 2 * len(self._allowances))
