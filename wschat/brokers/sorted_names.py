"""A sorted set of names that can be read page by page."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable


class SortedNames:
    """A set of names, sorted by code points. Its methods may be called from any thread."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names_lock = threading.Lock()  # guards _names; no other lock is acquired while it is held
        self._names = sorted(names)

    def __len__(self) -> int:
        with self._names_lock:
            return len(self._names)

    def add(self, name: str) -> None:
        """Add a name that is not in the set."""
        with self._names_lock:
            insort(self._names, name)

    def remove(self, name: str) -> None:
        """Remove a name that is in the set."""
        with self._names_lock:
            del self._names[bisect_left(self._names, name)]

    def after(self, name: str | None, limit: int) -> list[str]:
        """Return the first names that sort after a name, or the first of all for None: `limit` at most."""
        with self._names_lock:
            start = 0 if name is None else bisect_right(self._names, name)
            return self._names[start : start + limit]
