"""Reentrance: calls from a signal handler or a `__del__` that has interrupted code of this package in the same thread.

Such a call must not wait: the interrupted code may hold the locks that it needs, or do the read that it would wait for.
"""

from __future__ import annotations

import sys
from types import FrameType

# The modules that hold locks while they run. `connection`, `lifecycle` and `receiver` are not among them: they hold only the reader
# lock, which knows its owner, and `connection` calls the iterables that callers give to `send`.
MODULES = frozenset(
    {
        "wschat.client.chat.inbox",
        "wschat.client.chat.requests",
        "wschat.connection.background_threads",
        "wschat.connection.base_connection",
        "wschat.connection.cork",
        "wschat.connection.event_stream",
        "wschat.connection.outbox",
        "wschat.connection.reader_lock",
        "wschat.connection.send_buffer",
        "wschat.connection.streams",
        "wschat.connection.transport",
        "wschat.counters",
        "wschat.hub",
    }
)


def is_reentrant() -> bool:
    """Return True if the caller was called from a signal handler or a `__del__` that has interrupted code of these modules."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_locking(frame):
        frame = frame.f_back
    while frame is not None:
        if _is_locking(frame):
            return True
        frame = frame.f_back
    return False


def _is_locking(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in MODULES
