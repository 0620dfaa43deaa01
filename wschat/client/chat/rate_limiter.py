"""The rate at which a client sends requests: somewhat below the limits in the server's welcome. Pure: the caller tells the time."""

from __future__ import annotations

from collections.abc import Mapping

# The server allows three times the rate at once.
_BURST = 2.5
_SHARE = 0.9
_UNLIMITED = 1e9


class RateLimiter:
    """A token bucket. Without limits in the welcome it is practically unlimited."""

    def __init__(self, limits: Mapping[str, object], now: float) -> None:
        """`limits` are those of the welcome: `requests` in so many `seconds`. Anything but positive numbers is no limit."""
        requests, seconds = _positive(limits.get("requests"), _UNLIMITED), _positive(limits.get("seconds"), 1.0)
        self._per_second = _SHARE * requests / seconds
        self._capacity = self._left = max(1.0, _BURST * requests)
        self._at = now

    def acquire(self, now: float) -> float:
        """Count one request and return 0, or return the seconds until it may be sent."""
        if now < self._at:
            return self._at - now
        self._left = min(self._capacity, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0

    def block(self, now: float, seconds: float) -> None:
        """Allow nothing for some seconds, and then one request."""
        self._left = 1.0
        self._at = now + seconds


def _positive(value: object, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and value > 0 else default
