"""The rate at which a client sends requests: somewhat below the limits in the server's welcome. Pure: the caller tells the time."""

from __future__ import annotations

from collections.abc import Mapping

from wschat.limits import MAX_SECONDS

# The server allows three times the rate at once.
_BURST = 2.5
_SHARE = 0.9
_UNLIMITED = 1e9
_MIN_SECONDS = 0.001


class RateLimiter:
    """A token bucket. Without limits in the welcome it is practically unlimited."""

    def __init__(self, limits: Mapping[str, object], now: float) -> None:
        """`limits` are those of the welcome: `requests`, 1 or more, in so many `seconds`. Anything but such numbers is no limit."""
        requests = _number(limits.get("requests"), 1.0, _UNLIMITED, _UNLIMITED)
        seconds = _number(limits.get("seconds"), _MIN_SECONDS, MAX_SECONDS, 1.0)
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
            return min((1 - self._left) / self._per_second, MAX_SECONDS)
        self._left -= 1
        return 0.0

    def block(self, now: float, seconds: float) -> None:
        """Allow nothing for some seconds, as a server has told, and then one request."""
        self._left = 1.0
        self._at = now + min(max(0.0, seconds), MAX_SECONDS)  # which also makes 0 of NaN


def _number(value: object, least: float, most: float, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and least <= value <= most else default
