"""Names of people and rooms: which there may be, and who has which.

One to 32 letters (of any script), digits, `-`, `_` or `.`, normalised (NFKC). Two names that differ only in case or width
are one name.
"""

from __future__ import annotations

import re
import threading
import unicodedata

MAX_LENGTH = 32
RULE = f"1 to {MAX_LENGTH} letters, digits, '-', '_' or '.'"

_NAME = re.compile(rf"[\w.-]{{1,{MAX_LENGTH}}}")


def normalize_name(name: str) -> str | None:
    """The name as it is shown, or None if it is not one."""
    normal = unicodedata.normalize("NFKC", name)
    return normal if _NAME.fullmatch(normal) else None


class Names:
    """The names in use. From any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards the set; nothing else is locked while it is held
        self._taken: set[str] = set()

    def take(self, name: str, instead_of: str | None = None) -> bool:
        """Have this normalised name, and give up another; False if somebody else has it."""
        with self._guard:
            old = None if instead_of is None else instead_of.casefold()
            if name.casefold() != old and name.casefold() in self._taken:
                return False
            self._taken.discard(old or "")
            self._taken.add(name.casefold())
            return True

    def give_up(self, name: str) -> None:
        """Let somebody else have it."""
        with self._guard:
            self._taken.discard(name.casefold())
