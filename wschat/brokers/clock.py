"""How old messages are, by a clock that may be wrong: machines start in 1970, or with a year that somebody mistyped."""

from __future__ import annotations

import logging
import threading
import time
from time import monotonic

logger = logging.getLogger("wschat.brokers")

UNSET = 1_577_836_800.0
"""The beginning of 2020. A clock that shows an earlier time has not been set, and what was said by it has no age."""

# A clock that is corrected by this much is no wrong clock.
_SECONDS_OFF = 60.0
# A server that was away for longer than this may have come back with a wrong clock. It is believed after the same time.
_SECONDS_AWAY = 86_400.0


class Clock:
    """Judges the system's clock. From any thread.

    `seen` is when the server was last seen running by a clock that it relied on, None if it never was; `newest` is the time of
    the newest message, in seconds since 1970 as all times.
    """

    def __init__(self, seen: float | None = None, newest: float = 0.0) -> None:
        self._guard = threading.Lock()  # guards all below; nothing else is locked while it is held
        self._newest = newest
        self._seen = seen
        self._seen_at = monotonic()
        self._ahead_since: float | None = None
        self._doubt = ""

    def time_after(self, last: float) -> float:
        """Return the time of a message that is said now, in a room whose last one has the time `last`: it is never before that."""
        now = time.time()
        with self._guard:
            if self._seen is not None and self._is_behind(now):
                now = max(now, self._seen)
            said_at = max(now, last)
            self._newest = max(self._newest, said_at)
        return said_at

    def relied_on(self) -> float | None:
        """Return the time by which age is judged; None while the clock is implausible, of which the log has a line."""
        now, at = time.time(), monotonic()
        with self._guard:
            before, self._doubt = self._doubt, self._judge(now, at)
            if not self._doubt:
                self._seen, self._seen_at, self._ahead_since = now, at, None
            doubt = self._doubt
        if doubt and not before:
            logger.warning("the clock says %s, which is %s: nothing is deleted for its age meanwhile", _shown(now), doubt)
        elif before and not doubt:
            logger.warning("the clock says %s, and is relied on again", _shown(now))
        return None if doubt else now

    def _judge(self, now: float, at: float) -> str:
        """Return what is wrong with this time, if anything is. With the guard held."""
        if self._is_behind(now):
            self._ahead_since = None
            return f"before the newest message, of {_shown(self._newest)}"
        if now < UNSET:
            return "before 2020, so that it has not been set"
        if self._seen is None or now <= self._seen + (at - self._seen_at) + _SECONDS_AWAY:
            return ""
        if self._ahead_since is None:
            self._ahead_since = at
        if at - self._ahead_since >= _SECONDS_AWAY:
            return ""
        return f"more than a day after the server was last seen running, at {_shown(self._seen)}"

    def _is_behind(self, now: float) -> bool:
        return now < self._newest - _SECONDS_OFF


def _shown(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return f"{seconds:g} s"
