"""Reading messages. Those that are damaged are left out and logged, so that one of them does not make the others unreadable."""

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

_SQLITE_CORRUPT = 11
# After this many failures in one read, each further step is twice as long: then more is lost than a few pages of the file.
_MAX_SINGLE_STEPS = 5000
_MAX_RECORDED = 10_000
_MAX_LOGGED = 10  # in one line


class UnreadableMessages:
    """The messages that could not be read. Its methods may be called from any thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._recorded_lock = threading.Lock()  # guards _recorded; no other lock is acquired while it is held
        self._recorded: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        with self._recorded_lock:
            return len(self._recorded)

    def record(self, room: str, seqs: list[int]) -> None:
        """Log the messages that were not recorded before, by their numbers only."""
        with self._recorded_lock:
            new = [seq for seq in seqs if (room, seq) not in self._recorded][: _MAX_RECORDED - len(self._recorded)]
            self._recorded.update((room, seq) for seq in new)
        if new:
            shown = ", ".join(map(str, new[:_MAX_LOGGED])) + (", ..." if len(new) > _MAX_LOGGED else "")
            logger.error("%d messages of %s in %s cannot be read and are left out: %s", len(new), room, self._path, shown)


def is_damage(error: BaseException) -> bool:
    """Return True for an error of SQLite that says that a part of the file is damaged."""
    return type(error) is sqlite3.DatabaseError and getattr(error, "sqlite_errorcode", _SQLITE_CORRUPT) & 0xFF == _SQLITE_CORRUPT


def room_id(database: sqlite3.Connection, room: str) -> int | None:
    """Return the id of a room; None if it is not in the database."""
    (found,) = database.execute("SELECT id FROM rooms WHERE name = ?", (room,)).fetchone() or (None,)
    return found if type(found) is int else None


class RangeReader:
    """Reads the messages of a room from number `first` to `last`, in this order or, with `is_backward`, in the reverse.

    The connection has to return texts as bytes.
    """

    def __init__(self, room: str, first: int, last: int, oldest_time: float, *, is_backward: bool) -> None:
        self._room = room
        self._first, self._last = first, last  # what is left to read
        self._oldest_time = oldest_time
        self._is_backward = is_backward
        self.unreadable: list[int] = []
        """The numbers of the messages that were left out."""

    def messages(self, database: sqlite3.Connection) -> Generator[Message, None, None]:
        """Yield the messages that can be read. Raises sqlite3.Error if none can be."""
        room = room_id(database, self._room)
        failures = 0
        while room is not None and self._first <= self._last:
            try:
                yield from self._scan(database, room)
                return
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            failures += 1
            self._skip(1 << max(0, failures - _MAX_SINGLE_STEPS))

    def _scan(self, database: sqlite3.Connection, room: int) -> Generator[Message, None, None]:
        order = "DESC" if self._is_backward else "ASC"
        is_kept = f"(time >= ? OR time < {UNSET})"
        rows = database.execute(
            f"""
            SELECT seq, sender, text, time, kind FROM messages
            WHERE room = ? AND seq BETWEEN ? AND ? AND {is_kept} ORDER BY seq {order}
            """,
            (room, self._first, self._last, self._oldest_time),
        )
        with contextlib.closing(rows):
            for row in rows:
                message = _message(self._room, row)
                seq = row[0]
                if type(seq) is not int or not self._first <= seq <= self._last:
                    continue  # a damaged number, or one out of order
                if self._is_backward:
                    self._last = seq - 1
                else:
                    self._first = seq + 1
                if message is None:
                    self.unreadable.append(seq)
                else:
                    yield message

    def _skip(self, step: int) -> None:
        """Continue behind the message at which the scan failed."""
        self.unreadable.append(self._last if self._is_backward else self._first)
        if self._is_backward:
            self._last -= step
        else:
            self._first += step


def _message(room: str, row: Any) -> Message | None:
    """Return the message of a row; None if a value has the wrong type."""
    seq, sender, text, time, kind = row
    try:
        message = Message(room, seq, sender.decode(), text.decode(), time, kind.decode())
    except (AttributeError, UnicodeDecodeError):
        return None
    return message if type(time) is float and isfinite(time) else None
