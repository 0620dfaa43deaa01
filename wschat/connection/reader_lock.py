"""The reader lock: one thread at a time reads from a connection; other threads wait for what it finds.

Any thread that needs input reads. There is no thread that only reads, so a connection costs one thread, that of its handler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from wschat.connection.state import CLOSED
from wschat.connection.transport import Transport
from wschat.errors import UsageError


class ReaderLock:
    """The right to read from one connection."""

    __slots__ = ("_read", "_transport", "lock", "waiters")

    def __init__(self, transport: Transport, read: Callable[[float | None], bool]) -> None:
        """`read` does one read and returns False if it is later than its argument, a time by `monotonic`."""
        # Held by the thread that reads; guards the stream's receiving side and the `Incoming`. Only ever tried, never waited for:
        # other threads wait in `read_until`. An RLock because that knows its owner; no thread acquires it twice.
        self.lock = threading.RLock()
        self._transport = transport
        self._read = read
        self.waiters: list[threading.Event] = []
        """An event for each thread that waits, set after each read."""

    def read_until(self, is_done: Callable[[], object], until: float | None, read: Callable[[float | None], bool] | None = None) -> bool:
        """Read, or wait for the thread that reads, until `is_done` returns a true value or the connection is closed.

        `read` replaces the one of the constructor. Return False if it is later than `until`, a time by `monotonic`. Raises UsageError if
        a signal handler would wait for the thread that it has interrupted.
        """
        read = read or self._read
        changed: threading.Event | None = None
        try:
            if self.is_held_by_caller():
                raise UsageError("a signal handler has interrupted a call on this connection, and cannot wait for it")
            while not is_done() and self._transport.state is not CLOSED:
                if self.lock.acquire(False):
                    try:
                        in_time = is_done() or read(until)
                    finally:
                        self.lock.release()
                        if self.waiters:
                            self.notify_waiters()
                    if not in_time:
                        return False
                elif changed is None:
                    # Added before the next try, so that no change after it goes unnoticed.
                    changed = threading.Event()
                    self.waiters.append(changed)
                else:
                    if not changed.wait(None if until is None else max(0.0, until - monotonic())):
                        return False
                    changed.clear()
            return True
        finally:
            if changed is not None:
                self.waiters.remove(changed)

    def is_held_by_caller(self) -> bool:
        """Return True if the calling thread is reading; the caller is a signal handler or a `__del__` then."""
        return self.lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # `threading.Condition` calls it, too

    def notify_waiters(self) -> None:
        """Wake the threads that wait in `read_until`."""
        for changed in list(self.waiters):
            changed.set()
