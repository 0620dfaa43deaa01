"""The exit codes of `wschat connect`, and the error that ends the command with one of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from enum import IntEnum

from wschat.client.escapes import one_line
from wschat.errors import ConnectionClosed
from wschat.protocol.frames import CloseCode

_SILENT = (CloseCode.NORMAL, CloseCode.NO_STATUS)
_CLEAN = (*_SILENT, CloseCode.GOING_AWAY)


class ExitCode(IntEnum):
    """How the command ended."""

    OK = 0
    """All went as asked."""
    UNMET = 1
    """An expectation was not met in time."""
    USAGE = 2
    """The options are wrong, or a local file cannot be read or written."""
    NOT_CONNECTED = 3
    """The server could not be reached, or refused."""
    CLOSED = 4
    """The connection was lost, or closed with an error."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CommandExit(Exception):
    """Ends the command with an exit code, and with a line on standard error and further ones below it. Without a text, silently."""

    def __init__(self, code: int, text: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.code = code
        self._text = text
        self._details = details

    def show(self) -> None:
        """Print the text."""
        if self._text:
            note(self._text, self._details)


def note(text: str, details: Sequence[str] = ()) -> None:
    """Print a line on standard error, and indented ones after it. Control characters are escaped."""
    lines = [f"wschat: {one_line(text)}", *(f"    {one_line(line)}" for line in details)]
    with contextlib.suppress(OSError):  # the exit code tells it as well
        print("\n".join(lines), file=sys.stderr)


def has_ended_well(closed: ConnectionClosed) -> bool:
    """Return True if a connection was closed without an error."""
    return closed.code in _CLEAN


def is_worth_a_note(closed: ConnectionClosed) -> bool:
    """Return True if the user should be told how a connection was closed."""
    return closed.code not in _SILENT
