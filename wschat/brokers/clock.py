"""A clock for the age of messages that notices if the system's clock is wrong.

Machines without a battery start in 1970, and a mistyped year would otherwise delete all messages as too old.
"""

from __future__ import annotations

import logging
import threading
import time
from time import monotonic

logger = logging.getLogger("wschat.brokers")

UNSET = 1_577_836_800.0
"""The beginning of 2020, in seconds since 1970. An earlier time is that of a clock that was not set, and says nothing about age."""

# A time that is this many seconds before the newest message is still plausible: the clock was corrected.
_CORRECTION = 60.0
# After a gap of this many seconds, the clock is implausible, until the server has run for as long.
_MAX_ABSENCE = 86_400.0


class Clock:
    """Judges if the system's clock is plausible. Its methods may be called from any thread. Times are in seconds since 1970.

    `seen` is the last plausible time at which the server was running, None if it never was; `newest` is the time of the newest
    message.
    """

    def __init__(self, seen: float | None = None, newest: float = 0.0) -> None:
        # Guards all attributes below; no other lock is acquired while it is held.
        self._clock_lock = threading.Lock()
        self._newest = newest
        self._seen = seen
        self._seen_at = monotonic()
        self._ahead_since: float | None = None
        self._doubt = ""

    def time_after(self, last: float) -> float:
        """Return the time of a new message in a room whose last message has the time `last`. It is never less than that."""
        now = time.time()
        with self._clock_lock:
            if self._seen is not None and self._is_behind(now):
                now = max(now, self._seen)
            message_time = max(now, last)
            self._newest = max(self._newest, message_time)
        return message_time

    def relied_on(self) -> float | None:
        """Return the time, or None while the clock is implausible. Logs a warning when that begins and when it ends."""
        now, at = time.time(), monotonic()
        with self._clock_lock:
            before, self._doubt = self._doubt, self._find_doubt(now, at)
            if not self._doubt:
                self._seen, self._seen_at, self._ahead_since = now, at, None
            doubt = self._doubt
        if doubt and not before:
            logger.warning("the clock says %s, which is %s: no message is deleted for its age until it is right", _shown(now), doubt)
        elif before and not doubt:
            logger.warning("the clock says %s, and is trusted again", _shown(now))
        return None if doubt else now

    def _find_doubt(self, now: float, at: float) -> str:
        """Return why a time is implausible, "" if it is not."""
        assert self._clock_lock.locked()
        if self._is_behind(now):
            self._ahead_since = None
            return f"before the newest message, of {_shown(self._newest)}"
        if now < UNSET:
            return "before 2020, so the clock was not set"
        if self._seen is None or now <= self._seen + (at - self._seen_at) + _MAX_ABSENCE:
            return ""
        if self._ahead_since is None:
            self._ahead_since = at
        if at - self._ahead_since >= _MAX_ABSENCE:
            return ""
        return f"more than a day after the server was last seen running, at {_shown(self._seen)}"

    def _is_behind(self, now: float) -> bool:
        assert self._clock_lock.locked()
        return now < self._newest - _CORRECTION


def _shown(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):  # a year outside the calendar
        return f"{seconds:g} s"
