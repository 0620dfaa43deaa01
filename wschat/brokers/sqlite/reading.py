"""Reading messages from SQLite. What cannot be read is passed over, noted and logged, so that one bad row takes no others with it.

Connections for this have `text_factory = bytes`: SQLite's own error about a text that is no UTF-8 would quote it.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Generator
from math import isfinite
from typing import Any

from wschat.brokers.base import Message
from wschat.brokers.clock import UNSET

logger = logging.getLogger("wschat.brokers")

_CORRUPT = 11  # SQLITE_CORRUPT
# After so many rows in a row that cannot be read, each further step is twice as long: what is gone then is more than a few pages.
_SINGLE_STEPS = 5000
_MAX_NOTED = 10_000
_MAX_SHOWN = 10


class Unreadable:
    """The messages that could not be read. From any thread."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._guard = threading.Lock()  # guards the one below; nothing else is locked while it is held
        self._noted: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        with self._guard:
            return len(self._noted)

    def note(self, room: str, numbers: list[int]) -> None:
        """Log those that were not known yet."""
        with self._guard:
            new = [seq for seq in numbers if (room, seq) not in self._noted][: _MAX_NOTED - len(self._noted)]
            self._noted.update((room, seq) for seq in new)
        if new:
            shown = ", ".join(map(str, new[:_MAX_SHOWN])) + (", ..." if len(new) > _MAX_SHOWN else "")
            logger.error("%d messages of %s in %s cannot be read, and are passed over: %s", len(new), room, self._place, shown)


def is_damage(error: BaseException) -> bool:
    """Return True if SQLite says with this error that a part of the file is damaged."""
    return type(error) is sqlite3.DatabaseError and getattr(error, "sqlite_errorcode", _CORRUPT) & 0xFF == _CORRUPT


def room_id(database: sqlite3.Connection, room: str) -> int | None:
    """Return the number of a room; None if nothing was ever said there."""
    (found,) = database.execute("SELECT id FROM rooms WHERE name = ?", (room,)).fetchone() or (None,)
    return found if type(found) is int else None


class Reading:
    """The messages of a room from one number to another, in this order or, with `is_backward`, from the last to the first."""

    def __init__(self, room: str, first: int, last: int, oldest_time: float, *, is_backward: bool) -> None:
        self._room = room
        self._first, self._last = first, last
        self._oldest_time = oldest_time
        self._is_backward = is_backward
        self.unreadable: list[int] = []

    def messages(self, database: sqlite3.Connection) -> Generator[Message, None, None]:
        """Read as long as the caller wants more. Raises sqlite3.Error if nothing can be read at all."""
        room = room_id(database, self._room)
        failed = 0
        while room is not None and self._first <= self._last:
            try:
                yield from self._scan(database, room)
                return
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            failed += 1
            self._pass_over(1 << max(0, failed - _SINGLE_STEPS))

    def _scan(self, database: sqlite3.Connection, room: int) -> Generator[Message, None, None]:
        order = "DESC" if self._is_backward else "ASC"
        is_kept = f"(time >= ? OR time < {UNSET})"
        rows = database.execute(
            f"SELECT seq, sender, text, time FROM messages WHERE room = ? AND seq BETWEEN ? AND ? AND {is_kept} ORDER BY seq {order}",
            (room, self._first, self._last, self._oldest_time),
        )
        with contextlib.closing(rows):
            for row in rows:
                message = _message(self._room, row)
                seq = row[0]
                if type(seq) is not int or not self._first <= seq <= self._last:
                    continue  # a number that is none, or is not where it belongs
                if self._is_backward:
                    self._last = seq - 1
                else:
                    self._first = seq + 1
                if message is None:
                    self.unreadable.append(seq)
                else:
                    yield message

    def _pass_over(self, step: int) -> None:
        """Go on behind the place where it did not go on."""
        self.unreadable.append(self._last if self._is_backward else self._first)
        if self._is_backward:
            self._last -= step
        else:
            self._first += step


def _message(room: str, row: Any) -> Message | None:
    """Return the message of a row; None if it holds something else."""
    seq, sender, text, at = row
    try:
        message = Message(room, seq, sender.decode(), text.decode(), at)
    except (AttributeError, UnicodeDecodeError):  # a number, or bytes that are no text
        return None
    return message if type(at) is float and isfinite(at) else None
