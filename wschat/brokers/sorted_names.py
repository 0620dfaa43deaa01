"""Names in order, of which one can read a page without looking at the others."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable


class SortedNames:
    """A set of names, ordered by their characters. From any thread."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._guard = threading.Lock()  # guards the one below; nothing else is locked while it is held
        self._names = sorted(names)

    def __len__(self) -> int:
        with self._guard:
            return len(self._names)

    def add(self, name: str) -> None:
        """Add a name that is not among them."""
        with self._guard:
            insort(self._names, name)

    def remove(self, name: str) -> None:
        """Remove a name that is among them."""
        with self._guard:
            del self._names[bisect_left(self._names, name)]

    def after(self, name: str | None, limit: int) -> list[str]:
        """Return the first names after this one, or of all: so many at most."""
        with self._guard:
            start = 0 if name is None else bisect_right(self._names, name)
            return self._names[start : start + limit]
