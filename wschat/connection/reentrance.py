"""Reentrance: whether a call comes from a signal handler or a `__del__` that has interrupted this very code in the same thread.

Such a call must not wait: the locks that it needs, and the read that it would wait for, may be its own thread's.
"""

from __future__ import annotations

import sys
from types import FrameType

# The modules that hold locks while they run. `connection` is not among them: it holds but the right to read, which the reader lock tells,
# and it calls the iterables that callers give to `send`.
_MODULES = frozenset(
    {
        "wschat.connection.send_buffer",
        "wschat.connection.background_threads",
        "wschat.connection.event_stream",
        "wschat.connection.outbox",
        "wschat.connection.reader_lock",
        "wschat.connection.streams",
        "wschat.connection.cork",
        "wschat.counters",
        "wschat.hub",
    }
)


def is_reentrant() -> bool:
    """Return True if code of these modules runs further out in this thread than the code that has called the caller."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    while frame is not None:
        if _is_ours(frame):
            return True
        frame = frame.f_back
    return False


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _MODULES
