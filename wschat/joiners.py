"""Joiners: where a name may contain a ZERO WIDTH NON-JOINER or a ZERO WIDTH JOINER (UAX 31, section 2.3).

Between other letters they are invisible. `unicodedata` does not have the joining types of letters, but they follow from its Arabic
presentation forms: a letter with an initial form joins the next one. Other cursive scripts (Syriac, N'Ko) are not supported.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import chain, dropwhile

NON_JOINER, JOINER = JOINERS = "\u200c\u200d"

_PRESENTATION_FORMS = chain(range(0xFB50, 0xFE00), range(0xFE70, 0xFF00))
_VIRAMA = 9  # a canonical combining class


def is_joiner_allowed(text: str, at: int) -> bool:
    """Return True if the joiner at this index of a normalised text changes the form of its neighbours."""
    before, after = text[:at][::-1], text[at + 1 :]
    if text[at] == JOINER:  # rule B; all dependent vowels are marks
        return _has_virama(before) and not unicodedata.category(after[:1] or " ").startswith("M")
    return _breaks_cursive(before, after) or (_has_virama(before) and _begins_with_letter(after))  # rules A1 and A2


def without_joiners(text: str) -> str:
    """Return the text without joiners."""
    return text.replace(NON_JOINER, "").replace(JOINER, "")


def _has_virama(backwards: str) -> bool:
    """Return True if the text, given backwards, ends with a virama, followed at most by other combining marks."""
    classes = map(unicodedata.combining, backwards)
    return next((kind for kind in classes if kind in (0, _VIRAMA)), 0) == _VIRAMA


def _begins_with_letter(text: str) -> bool:
    return unicodedata.category(next(dropwhile(unicodedata.combining, text), " ")).startswith("L")


def _breaks_cursive(backwards: str, after: str) -> bool:
    """Return True between a letter that joins the next one and a letter that joins the one before."""
    joins_next, joins_previous = _joining_letters()
    return _stem_of(_first_visible(backwards)) in joins_next and _stem_of(_first_visible(after)) in joins_previous


def _first_visible(text: str) -> str:
    """Return the first character that is not transparent to joining, as marks are."""
    return next((character for character in text if unicodedata.category(character) != "Mn"), " ")


def _stem_of(letter: str) -> str:
    """Return the Unicode name of a letter without its dots and rings, which do not change how it joins."""
    return unicodedata.name(letter, "").partition(" WITH ")[0]


@cache
def _joining_letters() -> tuple[frozenset[str], frozenset[str]]:
    """Return the stems of letters that join the next one, and of those that join the one before."""
    joins_next, joins_previous = set[str](), set[str]()
    for form in map(chr, _PRESENTATION_FORMS):
        kind, *letters = unicodedata.decomposition(form).split() or [""]
        if len(letters) == 1:
            stem = _stem_of(chr(int(letters[0], 16)))
            if kind in ("<initial>", "<medial>"):
                joins_next.add(stem)
            if kind in ("<final>", "<medial>"):
                joins_previous.add(stem)
    return frozenset(joins_next), frozenset(joins_previous)
