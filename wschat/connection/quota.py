"""Quotas: bounds on the bytes that wait for several slow peers together, such as those of one address or of a server."""

from __future__ import annotations

import threading


class Quota:
    """A bound on the bytes that wait in several send buffers. Methods may be called from any thread and never wait."""

    __slots__ = ("__weakref__", "_max_bytes", "_used", "_used_lock")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_lock = threading.Lock()  # guards `_used`; taken last of all locks
        self._used = 0

    @property
    def used(self) -> int:
        """The bytes that wait in all."""
        return self._used

    def has_room(self, size: int) -> bool:
        """Return True if `size` bytes more may wait."""
        return self._used + size <= self._max_bytes

    def change(self, size: int) -> None:
        """Count `size` bytes more, or less if it is negative."""
        with self._used_lock:
            self._used += size
