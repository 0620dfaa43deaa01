"""The lines above the prompt, and which of them a screen shows. Without a terminal, pure; for one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wschat.cli.terminal.rows import Fragment, Row, width_of, wrap

MAX_LINES = 10_000
_MAX_HEAD_SHARE = 2  # a head wider than this part of the screen does not indent the rows below it


@dataclass(eq=False)
class Line:
    """One entry of a transcript, of one row or several."""

    body: Sequence[Fragment]
    """The text, which must be displayable."""
    head: Sequence[Fragment] = ()
    """What stands before the text, such as the time and the name. Further rows are indented by its width."""
    seq: int | None = None
    """The number of the message that the line shows, if it shows one."""
    _rows: tuple[int, list[Row]] = field(default=(0, []), init=False, repr=False)

    def rows(self, width: int) -> list[Row]:
        """Return the rows on a screen of this width. The result is kept for the next call."""
        if self._rows[0] != width:
            indent = width_of(self.head)
            self._rows = width, wrap([*self.head, *self.body], width, indent if indent * _MAX_HEAD_SHARE <= width else 2)
        return self._rows[1]

    def text(self) -> str:
        """Return the line without styles."""
        return "".join(text for _, text in (*self.head, *self.body))


class Transcript:
    """Lines in order, the oldest of which are dropped, and the place up to which a reader has scrolled.

    Lines are counted by numbers that stay when others are added before or dropped.
    """

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self._lines: deque[Line] = deque()
        self._max_lines = max_lines
        self._first = 0  # number of the oldest line
        self._bottom: tuple[int, int] | None = None  # line and row at the bottom of the screen, None to follow the newest
        self._size = (80, 24)
        self.footer: list[Line] = []
        """Lines that stay below all others, such as messages that are not yet sent."""

    @property
    def lines(self) -> Sequence[Line]:
        """The lines, the oldest first."""
        return self._lines

    @property
    def is_full(self) -> bool:
        """True if no older line can be added."""
        return len(self._lines) >= self._max_lines

    @property
    def is_scrolled(self) -> bool:
        """True if the newest lines are not shown."""
        return self._bottom is not None

    @property
    def lines_below(self) -> int:
        """The number of lines below those that are shown."""
        return 0 if self._bottom is None else self._first + len(self._lines) - 1 - self._bottom[0]

    def append(self, line: Line) -> None:
        """Add a line as the newest."""
        self._lines.append(line)
        while len(self._lines) > self._max_lines:
            self._lines.popleft()
            self._first += 1

    def prepend(self, lines: Iterable[Line]) -> None:
        """Add lines before the oldest."""
        older = list(lines)
        self._lines.extendleft(reversed(older))
        self._first -= len(older)

    def remove(self, line: Line) -> None:
        """Remove a line, if it is there."""
        try:
            index = self._lines.index(line)
        except ValueError:
            return
        del self._lines[index]
        if self._bottom is not None and self._bottom[0] > self._first + index:
            self._bottom = self._bottom[0] - 1, self._bottom[1]

    def clear(self) -> None:
        """Remove all lines."""
        self._lines.clear()
        self._bottom = None

    def view(self, width: int, height: int) -> list[Row]:
        """Return the rows to show on a screen of this size, and remember the size for scrolling."""
        self._size = (width, height)
        rows: list[Row] = []
        if self._bottom is None:
            for line in reversed(self.footer):
                rows[:0] = line.rows(width)
        number, row = self._place()
        while len(rows) < height and number >= self._first:
            rows[:0] = self._at(number).rows(width)[: row + 1]
            number, row = number - 1, self._last_row(number - 1)
        return rows[max(0, len(rows) - height) :]

    @property
    def is_at_top(self) -> bool:
        """True if the oldest line is shown."""
        return not self._lines or self._place() <= self._top_place()

    def scroll(self, rows: int) -> None:
        """Scroll down by a number of rows, or up by a negative one."""
        if not self._lines:
            return
        place, top = self._place(), self._top_place()
        step = 1 if rows > 0 else -1
        for _ in range(abs(rows)):
            if place == (top if step < 0 else self._end()):
                break
            place = self._neighbour(*place, step)
        self._bottom = None if place == self._end() else place

    def scroll_pages(self, pages: int) -> None:
        """Scroll by pages, of which one row stays."""
        self.scroll(pages * max(1, self._size[1] - 1))

    def to_top(self) -> None:
        """Show the oldest lines."""
        top = self._top_place()
        self._bottom = None if top == self._end() else top

    def to_bottom(self) -> None:
        """Show the newest lines, and follow them."""
        self._bottom = None

    def _at(self, number: int) -> Line:
        return self._lines[number - self._first]

    def _last_row(self, number: int) -> int:
        return len(self._at(number).rows(self._size[0])) - 1 if number >= self._first else 0

    def _end(self) -> tuple[int, int]:
        """Return the last row of the newest line."""
        newest = self._first + len(self._lines) - 1
        return newest, self._last_row(newest)

    def _place(self) -> tuple[int, int]:
        """Return the line and the row at the bottom. They may have been dropped, or wrapped anew."""
        if self._bottom is None:
            return self._end()
        number, row = min(max(self._bottom, self._top_place()), self._end())
        return number, min(row, self._last_row(number))

    def _top_place(self) -> tuple[int, int]:
        """Return the line and the row at the bottom of a screen that begins with the oldest line."""
        left = self._size[1]
        for offset, line in enumerate(self._lines):
            rows = len(line.rows(self._size[0]))
            if rows >= left:
                return self._first + offset, left - 1
            left -= rows
        return self._end()

    def _neighbour(self, number: int, row: int, step: int) -> tuple[int, int]:
        """Return the place of the row below (1) or above (-1)."""
        if step > 0:
            return (number, row + 1) if row < self._last_row(number) else (number + 1, 0)
        return (number, row - 1) if row > 0 else (number - 1, self._last_row(number - 1))
