"""The reader's seat: a stream is read by whichever thread needs input, and by one at a time; the others wait for what it finds.

There is no thread that only reads, so that a connection costs one thread: its handler's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from wschat.errors import UsageError


class ReaderLock:
    """`lock` is held by the thread that reads. It is only ever tried, never waited for: those who would wait use `read_until`."""

    __slots__ = ("lock", "waiters")

    def __init__(self) -> None:
        self.lock = threading.RLock()  # not to be taken twice, but to know whose it is
        self.waiters: list[threading.Event] = []  # told whenever somebody has read

    def read_until(self, is_done: Callable[[], object], read: Callable[[float | None], bool], until: float | None) -> bool:
        """Read, or let the thread that reads do so, until something is done; False if it gets too late.

        `read` is one read, and says False if it got too late; `until` is a time of `monotonic`. Raises UsageError for a signal
        handler that would wait for its own thread.
        """
        changed: threading.Event | None = None
        try:
            if self.is_held_by_caller():
                raise UsageError("a signal handler has interrupted a call on this connection, and cannot wait for it")
            while not is_done():
                if self.lock.acquire(blocking=False):
                    try:
                        in_time = is_done() or read(until)
                    finally:
                        self.lock.release()
                        self.notify()
                    if not in_time:
                        return False
                elif changed is None:
                    # Announced before the next try, so that no change after it goes unnoticed.
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
        """Return True if the calling thread reads: it is in a signal handler then, or in a `__del__`."""
        return self.lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # `threading.Condition` asks for it, too

    def renew(self) -> None:
        """In a forked child: whoever read in the parent does not read here."""
        self.lock = threading.RLock()
        self.waiters.clear()

    def notify(self) -> None:
        """Have those who wait look again."""
        for changed in list(self.waiters):
            changed.set()
