"""Reentrance: calls from a signal handler or a `__del__` that has interrupted code of this package in the same thread.

Such a call must not wait: the interrupted code may hold the locks that it needs, or do the read that it would wait for.
"""

from __future__ import annotations

import sys
from types import FrameType

from wschat.compiled import IS_COMPILED

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
        "wschat.connection.quota",
        "wschat.connection.reader_lock",
        "wschat.connection.send_buffer",
        "wschat.connection.streams",
        "wschat.connection.timers",
        "wschat.connection.transport",
        "wschat.connection.writer",
        "wschat.counters",
        "wschat.hub",
    }
)
# What is compiled has no frames. These call it, and count if the frame that they have called is not of this package: it has interrupted
# them. (Else it may be that of an iterable that a caller gave to `send`.)
_CALLERS_OF_COMPILED = frozenset({"wschat.connection.connection", "wschat.connection.lifecycle"}) if IS_COMPILED else frozenset()


def is_reentrant() -> bool:
    """Return True if the caller was called from a signal handler or a `__del__` that has interrupted code of these modules."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module_of(frame) in MODULES:
        frame = frame.f_back
    called = __name__  # the module of the frame that this one has called
    while frame is not None:
        module = _module_of(frame)
        if module in MODULES or (module in _CALLERS_OF_COMPILED and not called.startswith("wschat.")):
            return True
        frame, called = frame.f_back, module
    return False


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
