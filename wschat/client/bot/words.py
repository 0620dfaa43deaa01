"""The words of a command's text. Nothing here knows of types."""

from __future__ import annotations

import re

# One alternative for each kind of quotes, and a last one for all other words. A quote counts only at the beginning of a word, and if the
# word ends with its partner: an apostrophe needs no care. Phones type curved quotes.
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"(?!\S)|'([^']*)'(?!\S)|“([^“”]*)”(?!\S)|(\S+))""", re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\])')


class Words:
    """A text that is taken word by word. Quoted words may contain spaces; in double quotes, a backslash escapes a quote or a backslash."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def take(self) -> str | None:
        """Take the next word and return it without its quotes; None if there is none."""
        match = _WORD.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return _unquoted(match)

    def take_rest(self) -> str | None:
        """Take everything that is left as it was typed, without the quotes around it if it is one quoted word; None if it is empty."""
        rest = self._text[self._at :].strip()
        self._at = len(self._text)
        match = _WORD.fullmatch(rest)
        return (_unquoted(match) if match else rest) if rest else None


def _unquoted(match: re.Match[str]) -> str:
    double, *others = match.groups()
    return _ESCAPE.sub(r"\1", double) if double is not None else next(word for word in others if word is not None)
