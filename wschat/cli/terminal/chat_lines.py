"""The lines of the chat: a time, a name in its colour, and a text below which further rows are indented. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime

from wschat.cli.terminal.rows import Fragment, Row
from wschat.cli.terminal.safe_text import displayable, one_row
from wschat.cli.terminal.styles import NameColours
from wschat.cli.terminal.transcript import Line
from wschat.v1 import ME_PREFIX

NAME_WIDTH = 10
_NO_TIME = "--:--"


def local_time(seconds: float | None) -> datetime | None:
    """Return a time in seconds since 1970 as the clock on the wall shows it, None if it is none."""
    try:
        return datetime.fromtimestamp(seconds) if seconds is not None else None
    except (ValueError, OverflowError, OSError):
        return None


class ChatLines:
    """Makes the lines in which names have colours. `me` returns the name of the user, None before there is one."""

    def __init__(self, me: Callable[[], str | None]) -> None:
        self.me = me
        """Returns the user's name."""
        self._colours = NameColours()

    def message(self, seq: int, sender: str, text: str, time: float) -> Line:
        """Return a message, in which the user's own name stands out."""
        if text.startswith(ME_PREFIX):
            body: list[Fragment] = [
                (self._colours.of(sender), one_row(sender)),
                ("italic", f" {displayable(text.removeprefix(ME_PREFIX))}"),
            ]
            return _line(local_time(time), "*", "bold", body, seq)
        return _line(local_time(time), sender, self._colours.of(sender), _with_mentions(displayable(text), self.me()), seq)

    def whisper(self, sender: str, to: str, text: str, time: float) -> Line:
        """Return a text for one user only."""
        names: list[Fragment] = [
            (self._colours.of(sender), one_row(sender)),
            ("class:dim", " \u2192 "),
            (self._colours.of(to), one_row(to)),
            ("class:dim", ": "),
        ]
        return _line(local_time(time), "\u2709", "class:whisper", [*names, ("class:whisper", displayable(text))])

    def waiting(self, text: str) -> Line:
        """Return a message that the server does not have yet."""
        return _line(
            None, self.me() or "?", "class:dim", [("class:dim", f"{displayable(text.removeprefix(ME_PREFIX))} \u2026")], time_shown="     "
        )

    def name(self) -> Row:
        """Return the user's name in its colour, nothing without one."""
        me = self.me()
        return [(self._colours.of(me), one_row(me))] if me else []

    def is_mentioned(self, text: str) -> bool:
        """Return True if the user's name stands in a text as a word."""
        me = self.me()
        return me is not None and _mention(me).search(text) is not None


def info_line(text: str, mark: str = "\u00b7", at: float | None = None) -> Line:
    """Return what has happened."""
    return _line(local_time(at) or datetime.now(), mark, "class:dim", [("class:info", displayable(text))])


def error_line(text: str) -> Line:
    """Return what could not be done."""
    return _line(datetime.now(), "!", "class:error", [("class:error", displayable(text))])


def topic_line(seq: int | None, sender: str | None, text: str, time: float | None) -> Line:
    """Return a change of the topic."""
    who = one_row(sender or "the server")
    body: list[Fragment] = (
        [("class:info", f"{who} set the topic: "), ("bold", one_row(text))] if text else [("class:info", f"{who} cleared the topic")]
    )
    return _line(local_time(time), "\u00b7", "class:dim", body, seq)


def day_line(day: date) -> Line:
    """Return a line between the messages of two days."""
    return Line([("class:dim", f"\u2500\u2500 {day:%A}, {day.day} {day:%B %Y} \u2500\u2500")])


def unread_line() -> Line:
    """Return a line between the messages that were seen and those that were not."""
    return Line([("class:unread-line", "\u2500\u2500 new \u2500\u2500")])


def help_line(usage: str, text: str, width: int) -> Line:
    """Return a command or a key, padded to a width, and what it does."""
    return Line([("class:info", one_row(text))], [("bold", f"  {one_row(usage).ljust(width)}  ")])


def _line(at: datetime | None, name: str, style: str, body: Sequence[Fragment], seq: int | None = None, time_shown: str = _NO_TIME) -> Line:
    time = time_shown if at is None else f"{at:%H:%M}"
    return Line(body, [("class:dim", f" {time} "), (style, one_row(name).rjust(NAME_WIDTH)), ("", "  ")], seq)


def _with_mentions(text: str, me: str | None) -> list[Fragment]:
    if me is None:
        return [("", text)]
    fragments: list[Fragment] = []
    end = 0
    for found in _mention(me).finditer(text):
        fragments += [("", text[end : found.start()]), ("class:mention", found[0])]
        end = found.end()
    return [fragment for fragment in (*fragments, ("", text[end:])) if fragment[1]] or [("", "")]


def _mention(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)@?{re.escape(name)}(?!\w)", re.IGNORECASE)
