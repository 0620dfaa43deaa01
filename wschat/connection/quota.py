"""Quotas: bounds on what waits for several slow peers together, those of one address or all of a server."""

from __future__ import annotations

import threading


class Quota:
    """A bound on the bytes that wait in several outboxes. From any thread; never waits."""

    __slots__ = ("__weakref__", "_guard", "_max_bytes", "_used")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._guard = threading.Lock()  # guards the one below; taken last of all locks
        self._used = 0

    @property
    def used(self) -> int:
        """How many bytes wait in all."""
        return self._used

    def has_room(self, size: int) -> bool:
        """Return True if so many bytes more may wait."""
        return self._used + size <= self._max_bytes

    def change(self, size: int) -> None:
        """Count so many bytes more, or less for a negative number."""
        with self._guard:
            self._used += size
