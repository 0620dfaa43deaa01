"""Text of a peer, made safe to place in the cells of a screen.

What `client.escapes` escapes never reaches the terminal. Here, in addition, every character has a width that terminals agree on, so that
the screen is what the program believes it is.
"""

from __future__ import annotations

from unicodedata import category

from prompt_toolkit.utils import get_cwidth

_TAB_WIDTH = 4
_MAX_MARKS = 4  # on one letter: enough for any script, too few to reach the lines above and below
_MARK_HOLDER = "\u25cc"  # carries a mark that has no letter
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, invisible formats such as overrides of direction, surrogates, separators

# Joiners, variation selectors, skin tones and tags make terminals disagree about the width of an emoji; a soft hyphen is shown by some.
_DROPPED = {0xAD, 0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080), *range(0xE0100, 0xE01F0)}
_FLAG_LETTERS = {0x1F1E6 + number: chr(ord("A") + number) for number in range(26)}  # terminals disagree about flags: letters instead
_TRANSLATION: dict[int, str | None] = {**dict.fromkeys(_DROPPED), **_FLAG_LETTERS}


def displayable(text: str) -> str:
    """Return a text in which each character but a line feed takes one or two cells, or none if it is one of few marks on a letter."""
    text = text.replace("\r\n", "\n").expandtabs(_TAB_WIDTH)
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown: list[str] = []
    marks = _MAX_MARKS  # none may follow at the beginning of a line
    for character in text.translate(_TRANSLATION):
        if character == "\n":
            marks = _MAX_MARKS
        elif category(character) in _UNSAFE:
            character, marks = ascii(character)[1:-1], 0
        elif get_cwidth(character) > 0:
            marks = 0
        else:
            marks += 1
            if marks > _MAX_MARKS:
                if shown and not shown[-1].endswith("\n"):
                    continue
                character, marks = _MARK_HOLDER + character, 1
        shown.append(character)
    return "".join(shown)


def one_row(text: str) -> str:
    """Return a displayable text without line feeds."""
    return displayable(text).replace("\n", "\u23ce")
