"""Wrapping styled text into the rows of a screen, at spaces, with a hanging indent. Without a terminal, pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from prompt_toolkit.utils import get_cwidth

Fragment = tuple[str, str]
"""A style and a displayable text, as prompt_toolkit has them."""
Row = list[Fragment]
"""What one row of the screen shows."""

_MIN_TEXT_WIDTH = 16  # a narrower text has no indent


def width_of(fragments: Iterable[Fragment]) -> int:
    """Return the number of cells that fragments take."""
    return sum(get_cwidth(text) for _, text in fragments)


def wrap(fragments: Sequence[Fragment], width: int, indent: int = 0) -> list[Row]:
    """Return the rows of a text on a screen `width` cells wide. The second and further rows begin after `indent` cells."""
    if width - indent < _MIN_TEXT_WIDTH:
        indent = 0
    wrapper = _Wrapper(max(width, 2), indent)
    for style, text in fragments:
        for character in text:
            wrapper.add(style, character)
    return wrapper.finish()


def clip(fragments: Sequence[Fragment], width: int) -> Row:
    """Return the fragments as far as they fit into `width` cells; what is cut off ends with an ellipsis."""
    if width < 1:
        return []
    if width_of(fragments) <= width:
        return list(fragments)
    row: Row = []
    for style, character in ((style, character) for style, text in fragments for character in text):
        width -= get_cwidth(character)
        if width < 1:
            row.append((style, "\u2026"))
            break
        row.append((style, character))
    return _joined(row)


def clip_around(fragments: Sequence[Fragment], at: int, width: int) -> Row:
    """Return the fragments as far as they fit, as `clip` does, but with the one at an index: what is before it may be cut off as well."""
    up_to, follows = fragments[: at + 1], at + 1 < len(fragments)
    if width_of(up_to) + follows <= width:
        return clip(fragments, width)
    shown = fragments[at : at + 1]
    if width_of(shown) + 1 + follows > width:  # besides the ellipses
        return clip(shown, width)
    reversed_row = clip([(style, text[::-1]) for style, text in reversed(up_to)], width - follows)
    row = [(style, text[::-1]) for style, text in reversed(reversed_row)]
    return [*row, (fragments[at + 1][0], "\u2026")] if follows else row


class _Wrapper:
    """The rows so far, and the row being filled, a fragment for each character."""

    def __init__(self, width: int, indent: int) -> None:
        self._width = width
        self._indent: Row = [("", " ")] * indent
        self._rows: list[Row] = []
        self._row: Row = []
        self._used = 0
        self._first = 0  # index of the first character behind the indent
        self._break_at = 0  # index behind the last space of the row, 0 without one

    def add(self, style: str, character: str) -> None:
        if character == "\n":
            self._end_row([])
            return
        cells = get_cwidth(character)
        if self._used + cells > self._width:
            if character == " ":  # the end of the row is space enough
                self._end_row([])
                return
            self._end_row(self._cut(cells))
        self._row.append((style, character))
        self._used += cells
        if character == " " and len(self._row) > self._first + 1:
            self._break_at = len(self._row)

    def finish(self) -> list[Row]:
        self._rows.append(_joined(self._row))
        return self._rows

    def _cut(self, cells: int) -> Row:
        """Take the word that does not fit off the row and return it, unless it is so long that it is better broken.

        The next row must have room for it and for the next character, which takes this number of cells.
        """
        at = self._break_at
        used, room = width_of(self._row[at:]), self._width - len(self._indent)
        if at == 0 or 2 * used > room or used + cells > room:
            at = len(self._row)
        word = self._row[at:]
        del self._row[at:]
        return word

    def _end_row(self, rest: Row) -> None:
        self._rows.append(_joined(self._row))
        self._row = [*self._indent, *rest]
        self._used = width_of(self._row)
        self._first = len(self._indent)
        self._break_at = 0


def _joined(characters: Row) -> Row:
    return [(style, "".join(text for _, text in group)) for style, group in groupby(characters, lambda fragment: fragment[0])]
