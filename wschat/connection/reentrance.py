"""Reentrance: calls from a signal handler or a `__del__` that has interrupted code of this package in the same thread.

Such a call must not wait: the interrupted code may hold the locks that it needs, or do the read that it would wait for.
"""

from __future__ import annotations

import sys
import threading
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
# Compiled functions have no frames. If one of these modules has called a frame outside this package, a signal handler or a `__del__` has
# interrupted a compiled function that it has called.
_CALLERS_OF_COMPILED = (
    frozenset({"wschat.connection.connection", "wschat.connection.lifecycle", "wschat.chat.sessions"}) if IS_COMPILED else frozenset()
)
# This one also calls the iterables that callers give to `send`; compiled functions that it calls wait and notify.
_FRAGMENTS = "wschat.connection.fragments"


def is_reentrant() -> bool:
    """Return True if the caller was called from a signal handler or a `__del__` that has interrupted code of these modules."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module_of(frame) in MODULES:
        frame = frame.f_back
    called = __name__  # the module of the frame that this one has called
    while frame is not None:
        module = _module_of(frame)
        is_interrupted = module in _CALLERS_OF_COMPILED and not called.startswith("wschat.")
        if module in MODULES or is_interrupted or (module == _FRAGMENTS and called == threading.__name__):
            return True
        frame, called = frame.f_back, module
    return False


def is_within(module: str) -> bool:
    """Return True if a function of this module is running in the calling thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module_of(frame) != module:
        frame = frame.f_back
    return frame is not None


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
