"""The arrangement of the screen: a row for the title, the messages, a row for the status, and the prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.widgets import SearchToolbar

from wschat.cli.terminal.rows import Row, clip_around, width_of
from wschat.cli.terminal.styles import STRONG

_MIN_HEIGHT_FOR_TITLE = 10
_MAX_PROMPT_ROWS = 6
_MENU_ROWS = 10
_ELLIPSES = 2


@dataclass(frozen=True)
class Parts:
    """Where the parts of the screen get their contents. Each is called at each drawing."""

    title: Callable[[], tuple[Row, Row]]
    """Returns the left and the right part of the row at the top."""
    status: Callable[[], tuple[Row, Row]]
    """Returns the left and the right part of the status line."""
    prompt: Callable[[], Row]
    """Returns what stands before the text that is typed."""
    messages: Callable[[int, int], list[Row]]
    """Returns the rows of messages for a width and a height, the last of which is at the bottom."""


class Rows(UIControl):
    """A part of the screen whose rows are made for its size."""

    def __init__(self, make: Callable[[int, int], list[Row]]) -> None:
        self._make = make

    def create_content(self, width: int, height: int) -> UIContent:
        """Make the rows."""
        rows = self._make(width, height)
        # The space ends a mark at the end of a row, which prompt_toolkit would put into the next cell as well.
        return UIContent(get_line=lambda number: [*rows[number], ("", " ")], line_count=len(rows), show_cursor=False)


def make_layout(parts: Parts, buffer: Buffer) -> Layout:
    """Return the layout of a screen in which `buffer` holds what is typed."""
    search = SearchToolbar(forward_search_prompt="search: ", backward_search_prompt="search back: ")
    prompt = BufferControl(buffer, input_processors=[BeforeInput(lambda: list(parts.prompt()))], search_buffer_control=search.control)
    is_high = Condition(lambda: get_app().output.get_size().rows >= _MIN_HEIGHT_FOR_TITLE)
    body = HSplit(
        [
            ConditionalContainer(
                Window(Rows(lambda width, _: [status_row(*parts.title(), width)]), height=1, style="class:title"), filter=is_high
            ),
            Window(Rows(lambda width, height: bottom_aligned(parts.messages(width, height), height)), height=Dimension(min=1)),
            Window(Rows(lambda width, _: [status_row(*parts.status(), width)]), height=1, style="class:status"),
            Window(prompt, height=Dimension(min=1, max=_MAX_PROMPT_ROWS), wrap_lines=True, dont_extend_height=True),
            search,
        ]
    )
    menu = Float(CompletionsMenu(max_height=_MENU_ROWS, scroll_offset=1), xcursor=True, ycursor=True)
    return Layout(FloatContainer(body, [menu]), focused_element=prompt)


def bottom_aligned(rows: list[Row], height: int) -> list[Row]:
    """Return the rows with empty ones before them, up to a height."""
    return [*([] for _ in range(height - len(rows))), *rows]


def status_row(left: Row, right: Row, width: int) -> Row:
    """Return a row with one part at each end, and a space between them.

    If there is no room for both, the end of the right part is kept, and the strong fragment of the left one, or else the first: half of
    the row is enough for it.
    """
    kept = next((at for at, (style, _) in enumerate(left) if style == STRONG), 0)
    least = min(width_of(left[kept : kept + 1]) + _ELLIPSES, width_of(left), width // 2) + 1
    right = clip_around(right, len(right) - 1, width - least)
    left = clip_around(left, kept, width - width_of(right) - 1)
    return [*left, ("", " " * (width - width_of(left) - width_of(right))), *right]
