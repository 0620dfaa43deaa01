"""Names of users and rooms: which are valid, and which are equal.

A name is 1 to 32 letters (of any script, with their marks), digits, `-`, `_` or `.`, normalised (NFKC), but not `.` or `..`. It may
contain a joiner between letters whose form it changes, as Persian and many Indian scripts do. Names that differ only in case, width
or joiners are equal. Letters of different scripts that look alike are different letters.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from wschat.joiners import JOINERS, is_joiner_allowed, without_joiners

NAMELESS = "Server"
"""The sender of a message whose author has no name. No user may have it."""

MAX_LENGTH = 32
"""The most characters of a name."""
RULE = f"1 to {MAX_LENGTH} letters, digits, '-', '_' or '.'"
"""What a name must be, for error messages."""

# The time to normalise grows with the square of the length. No name of this length becomes short enough.
_MAX_RAW_LENGTH = 8 * MAX_LENGTH
_SIGNS = frozenset("-_.")
# Dot segments: a browser removes them from a URL (RFC 3986, section 5.2.4), so a room of this name could not be reached.
_STEPS = frozenset({".", ".."})
# Invisible letters and marks (Default_Ignorable_Code_Point), by which a name could be made to look like another.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u180b\u180c\u180d\u180f")
_VARIATION_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))


@lru_cache(4096)  # most requests repeat names of earlier ones
def normalize_name(name: str) -> str | None:
    """Return the name in its normal form, or None if it is not valid."""
    if len(name) > _MAX_RAW_LENGTH:
        return None
    normal = unicodedata.normalize("NFKC", name)
    # Some letters become two in lower case; the key must be valid as well.
    return normal if _is_name(normal) and _is_name(key_of(normal)) else None


@lru_cache(4096)
def key_of(name: str) -> str:
    """Return the key by which a normalised name is compared, without joiners, as by Unicode's NFKC_Casefold. A room is shown by it."""
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
