"""Writing the log: one transaction for many messages of many rooms. Only for the writer thread."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf, isfinite
from typing import TypeVar

from wschat.brokers.base import TOPIC, Draft, Message, Result, Retention
from wschat.brokers.clock import UNSET, Clock
from wschat.brokers.idempotency import MAX_KEYS, KeyRecord
from wschat.brokers.sqlite.log_reader import is_damage
from wschat.brokers.sqlite.topics import read_topics, store_topic

logger = logging.getLogger("wschat.brokers")

# Rows of one statement. Each statement releases the GIL once, and then has to wait for it. A row has six values at most, and SQLite before
# 3.32 takes 999 in a statement.
_ROWS_PER_STATEMENT = 160
# Rooms of one transaction that deletes. Messages wait for its end.
_ROOMS_PER_TRANSACTION = 200
# A room's old messages are deleted once this many were appended since the last time; until then they are hidden.
_DELETE_INTERVAL = 256

# A message whose time is before UNSET is deleted for its number only.
_DELETE_OLD = f"""
    DELETE FROM messages WHERE room = :room AND (seq < :oldest_seq OR time >= {UNSET}) AND seq < max(
        :oldest_seq,
        coalesce((SELECT seq FROM messages WHERE room = :room AND time >= :oldest_time ORDER BY seq LIMIT 1), :last + 1)
    )
"""

_Row = TypeVar("_Row", bound=Sequence[object])


@dataclass
class Appended:
    """The effect of a transaction."""

    results: list[Result] = field(default_factory=list)
    """The result of each draft, in their order."""
    messages: dict[str, list[Message]] = field(default_factory=dict)
    """The new messages of each room."""


@dataclass
class _Room:
    id: int
    last: int
    time: float  # of the last message
    deleted_at: int  # the last number when old messages were last deleted

    @property
    def is_delete_due(self) -> bool:
        return self.last - self.deleted_at >= _DELETE_INTERVAL


class LogWriter:
    """Writes the tables of rooms, messages, topics and keys. A method that raises sqlite3.Error has changed nothing."""

    def __init__(self, database: sqlite3.Connection, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._rooms = dict(self._read_rooms())
        seen, floor = database.execute("SELECT seen, floor FROM log").fetchone()
        self.floor = floor if type(floor) is int else 0
        newest = max((room.time for room in self._rooms.values()), default=0.0)
        self.clock = Clock(seen if type(seen) is float else None, newest)
        self.note_seen()
        for rooms in _chunks(self._rooms, _ROOMS_PER_TRANSACTION):
            self.delete_old(rooms)
        self.forget(self.quiet(self._rooms))

    def _read_rooms(self) -> Iterator[tuple[str, _Room]]:
        # As bytes, because SQLite does not continue after a text that is not UTF-8.
        for name, room_id, last, time in self._database.execute("SELECT CAST(name AS BLOB), id, last, time FROM rooms").fetchall():
            try:
                last = max(last, self._last_stored(room_id))  # a number that is behind the messages would be given twice
                yield name.decode(), _Room(room_id, last, time if type(time) is float and isfinite(time) else 0.0, last)
            except (TypeError, UnicodeDecodeError):
                logger.error("the room with the id %s cannot be read and is left out", room_id)

    def _last_stored(self, room_id: int) -> int:
        """Return the highest number among the stored messages of a room; 0 if none can be read."""
        try:
            (last,) = self._database.execute("SELECT max(seq) FROM messages WHERE room = ?", (room_id,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return 0
        return last if type(last) is int else 0

    def last_numbers(self) -> dict[str, int]:
        """Return the last number of each room."""
        return {name: room.last for name, room in self._rooms.items()}

    def topics(self) -> dict[str, Message]:
        """Return the entries that set the topics, by room."""
        return read_topics(self._database, {room.id: name for name, room in self._rooms.items()})

    def append(self, drafts: Sequence[Draft]) -> Appended:
        """Append messages in one transaction, which is on the disk on return."""
        try:
            return self._append(drafts, deletes=True)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return self._append(drafts, deletes=False)  # only the old messages may be damaged

    def _append(self, drafts: Sequence[Draft], *, deletes: bool) -> Appended:
        with self._transaction():
            rooms = {name: self._find(name) for name in {draft.room for draft in drafts}}
            appended = self._insert(drafts, rooms, deletes=deletes)
        for name, messages in appended.messages.items():
            if rooms[name].is_delete_due:  # they have been deleted, or cannot be
                rooms[name].deleted_at = rooms[name].last
            rooms[name].last, rooms[name].time = messages[-1].seq, messages[-1].time
        self._rooms.update(rooms)
        return appended

    def note_seen(self) -> None:
        """Store the time, if the clock is plausible. After a restart, the clock is judged by it."""
        now = self.clock.relied_on()
        if now is not None:
            self.write("UPDATE log SET seen = ?", [(now,)])

    def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement with each of these rows, in one transaction, which is on the disk on return."""
        with self._transaction():
            self._database.executemany(statement, rows)

    def write_and_revert(self) -> None:
        """Change the file and change it back, to find out if it can be written. Raises sqlite3.Error if not.

        A transaction without a change would not be written.
        """
        with self._transaction():
            self._database.execute("INSERT INTO rules VALUES ('', 'check', '', 0, '')")
            self._database.execute("DELETE FROM rules WHERE kind = 'check'")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit at the end, or roll back after an exception."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk may have rolled it back
                self._database.execute("ROLLBACK")
            raise

    def _find(self, name: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            cursor = self._database.execute("INSERT INTO rooms (name, last) VALUES (?, ?)", (name, self.floor))
            room = _Room(cursor.lastrowid or 0, self.floor, 0.0, self.floor)
        return room

    def _insert(self, drafts: Sequence[Draft], rooms: dict[str, _Room], *, deletes: bool) -> Appended:
        appended = Appended()
        records = self._find_records((rooms[draft.room].id, draft.key) for draft in drafts if draft.key is not None)
        new_keys = []
        topics: dict[int, Message] = {}
        times = {name: self.clock.time_after(room.time) for name, room in rooms.items()}
        for draft in drafts:
            room = rooms[draft.room]
            record = records.get((room.id, draft.key)) if draft.key is not None else None
            if record is not None:
                appended.results.append(record.result_for(draft))
                continue
            messages = appended.messages.setdefault(draft.room, [])
            seq = room.last + len(messages) + 1
            messages.append(Message(draft.room, seq, draft.sender, draft.text, times[draft.room], draft.kind))
            appended.results.append(seq)
            if draft.kind == TOPIC:
                topics[room.id] = messages[-1]
            if draft.key is not None:
                records[room.id, draft.key] = record = KeyRecord.of(seq, draft)
                new_keys.append((room.id, draft.key, *record))
        for name, messages in appended.messages.items():
            room = rooms[name]
            self._insert_rows("INSERT INTO messages", [(room.id, *message[1:]) for message in messages])
            self._database.execute("UPDATE rooms SET last = ?, time = ? WHERE id = ?", (messages[-1].seq, messages[-1].time, room.id))
            if deletes and room.is_delete_due:
                self._delete_old(room, messages[-1].seq)
        for room_id, topic in topics.items():
            store_topic(self._database, room_id, topic)
        self._insert_rows("INSERT OR REPLACE INTO keys", new_keys)  # a damaged row may have the key
        return appended

    def _find_records(self, keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], KeyRecord]:
        """Return the records of those of these keys that were used before. A key is that of a room, given by its id."""
        records: dict[tuple[int, str], KeyRecord] = {}
        for some in _chunks(keys):
            # CROSS JOIN keeps SQLite to this order: it looks each key up, instead of scanning the table.
            rows = self._database.execute(
                f"""
                WITH wanted (room, key) AS (VALUES {",".join(["(?,?)"] * len(some))})
                SELECT room, key, seq, digest FROM wanted CROSS JOIN keys USING (room, key)
                """,
                [value for key in some for value in key],
            )
            records.update(
                ((room, key), KeyRecord(seq, digest)) for room, key, seq, digest in rows if type(seq) is int and type(digest) is bytes
            )
        return records

    def _insert_rows(self, insert: str, rows: Sequence[Sequence[object]]) -> None:
        for some in _chunks(rows):
            values = ",".join([f"({','.join('?' * len(some[0]))})"] * len(some))
            self._database.execute(f"{insert} VALUES {values}", [value for row in some for value in row])

    def names(self) -> list[str]:
        """Return the names of all rooms."""
        return list(self._rooms)

    def quiet(self, names: Iterable[str]) -> list[str]:
        """Return those of these rooms that can be forgotten: they have been quiet for long, and none of their messages is stored."""
        quiet_time = self._retention.quiet_time(self.clock.relied_on())
        rooms = ((name, self._rooms[name]) for name in names if name in self._rooms)
        return [name for name, room in rooms if room.time < quiet_time and not self._has_messages(room)]

    def forget(self, names: Iterable[str]) -> None:
        """Delete rooms. Numbers of new rooms begin after theirs."""
        for some in _chunks(names, _ROOMS_PER_TRANSACTION):
            rooms = [self._rooms[name] for name in some]
            floor = max(self.floor, *(room.last for room in rooms))
            with self._transaction():
                self._database.execute("UPDATE log SET floor = ?", (floor,))
                for statement in ("messages WHERE room", "topics WHERE room", "keys WHERE room", "rooms WHERE id"):
                    self._database.executemany(f"DELETE FROM {statement} = ?", [(room.id,) for room in rooms])
            self.floor = floor
            for name in some:
                del self._rooms[name]

    def delete_old(self, names: Iterable[str]) -> None:
        """Delete the messages of these rooms that are not kept, in one transaction."""
        oldest_time = self._retention.oldest_time(self.clock.relied_on())
        rooms = [self._rooms[name] for name in names if name in self._rooms]
        if rooms := [room for room in rooms if self._has_messages(room, oldest_time)]:
            self._delete_or_log(rooms)

    def _has_messages(self, room: _Room, before: float = inf) -> bool:
        """Return True if the first message of a room is older than a time, exceeds the number to keep, or is damaged."""
        try:
            first = self._database.execute("SELECT seq, time FROM messages WHERE room = ? ORDER BY seq LIMIT 1", (room.id,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return True
        if first is None:
            return False
        seq, time = first
        if type(seq) is not int or type(time) is not float:
            return True
        return time <= before or seq < self._retention.oldest_seq(room.last)

    def _delete_or_log(self, rooms: Sequence[_Room]) -> None:
        """Delete the messages of these rooms that are not kept. Those that are damaged stay in the file, hidden, and are logged."""
        try:
            with self._transaction():
                for room in rooms:
                    self._delete_old(room, room.last)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            if len(rooms) == 1:
                logger.error("old messages of the room with the id %s cannot be deleted: %s", rooms[0].id, error)
            else:
                for room in rooms:
                    self._delete_or_log([room])

    def _delete_old(self, room: _Room, last: int) -> None:
        """Delete the messages and keys of a room that are not kept when its last number is `last`. Within a transaction."""
        bounds = {"oldest_seq": self._retention.oldest_seq(last), "oldest_time": self._retention.oldest_time(self.clock.relied_on())}
        self._database.execute(_DELETE_OLD, {"room": room.id, "last": last, **bounds})
        self._database.execute("DELETE FROM keys WHERE room = ? AND seq <= ?", (room.id, last - MAX_KEYS))


def _chunks(rows: Iterable[_Row], size: int = _ROWS_PER_STATEMENT) -> Iterator[list[_Row]]:
    rest = iter(rows)
    while some := list(islice(rest, size)):
        yield some
