"""Names of people and rooms: which there may be, and which are the same.

One to 32 letters (of any script), digits, `-`, `_` or `.`, normalised (NFKC). Two names that differ only in case or width
are one name.
"""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 32
RULE = f"1 to {MAX_LENGTH} letters, digits, '-', '_' or '.'"

_NAME = re.compile(rf"[\w.-]{{1,{MAX_LENGTH}}}")


def normalize_name(name: str) -> str | None:
    """The name as it is shown, or None if it is not one."""
    normal = unicodedata.normalize("NFKC", name)
    return normal if _NAME.fullmatch(normal) else None


def key_of(name: str) -> str:
    """What a normalised name is compared by; a room is shown by it, too."""
    return unicodedata.normalize("NFKC", name.casefold())
