"""Names of people and rooms: which there may be, and which are the same.

One to 32 letters (of any script, with the marks that go with them), digits, `-`, `_` or `.`, normalised (NFKC); `.` and `..` are
none. Between letters that it changes there may be a joiner, as Persian and many Indian scripts write them. Two names that differ
only in case, width or joiners are one name. Letters of different scripts that look alike are different letters.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from wschat.chat.joiners import JOINERS, is_joiner_allowed, without_joiners

NAMELESS = "Server"
"""Whom a message is from whose author has no name; so nobody may have this one."""

MAX_LENGTH = 32
RULE = f"1 to {MAX_LENGTH} letters, digits, '-', '_' or '.'"

# Normalising takes time that grows with the square of the length, and makes no name of this length short enough.
_MAX_RAW_LENGTH = 8 * MAX_LENGTH
_SIGNS = frozenset("-_.")
# In a URL they are steps, which browsers take before they ask: a room of this name could not be asked for.
_STEPS = frozenset({".", ".."})
# Letters and marks that nobody sees (Default_Ignorable_Code_Point): with them a name would look like somebody else's.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u180b\u180c\u180d\u180f")
_VARIATION_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))


@lru_cache(4096)  # each request has some, and they are nearly always the same
def normalize_name(name: str) -> str | None:
    """The name as it is shown, or None if it is not one."""
    if len(name) > _MAX_RAW_LENGTH:
        return None
    normal = unicodedata.normalize("NFKC", name)
    # Some letters are two in lower case; a name has to be one by its key as well.
    return normal if _is_name(normal) and _is_name(key_of(normal)) else None


@lru_cache(4096)
def key_of(name: str) -> str:
    """What a normalised name is compared by; a room is shown by it, too. Without joiners, as Unicode's NFKC_Casefold."""
    return unicodedata.normalize("NFKC", without_joiners(name).casefold())


def _is_name(text: str) -> bool:
    if not 1 <= len(text) <= MAX_LENGTH or text in _STEPS:
        return False
    may_be_marked = False
    for at, character in enumerate(text):
        if character in JOINERS:
            if not is_joiner_allowed(text, at):
                return False
            continue
        category = unicodedata.category(character)
        is_mark = category in ("Mn", "Mc")
        if not (character in _SIGNS or category[0] == "L" or category == "Nd" or (is_mark and may_be_marked)) or _is_invisible(character):
            return False
        may_be_marked = category[0] == "L" or is_mark
    return True


def _is_invisible(character: str) -> bool:
    return character in _INVISIBLE or any(first <= ord(character) <= last for first, last in _VARIATION_SELECTORS)
