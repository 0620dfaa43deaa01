"""Writing the log in SQLite: one transaction for many messages of many rooms. For the one thread that writes."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf, isfinite
from typing import TypeVar

from wschat.brokers.base import KEYS_KEPT, Draft, Known, Message, Result, Retention, digest_of, rejected_key
from wschat.brokers.clock import UNSET, Clock
from wschat.brokers.sqlite.reading import is_damage

logger = logging.getLogger("wschat.brokers")

# Rows go into one statement by so many: each statement lets go of the GIL once, and then has to wait for its turn to go on.
_ROWS_TOGETHER = 64
# Of so many rooms, what is old is deleted together: messages wait meanwhile.
_ROOMS_TOGETHER = 200
# What is not kept any more is deleted when there is so much of it; until then it is only not shown.
_DELETED_TOGETHER = 256

# What was said by a clock that had not been set is deleted for its number only.
_DELETE_FORGOTTEN = f"""
    DELETE FROM messages WHERE room = :room AND (seq < :oldest_seq OR time >= {UNSET}) AND seq < max(
        :oldest_seq,
        coalesce((SELECT seq FROM messages WHERE room = :room AND time >= :oldest_time ORDER BY seq LIMIT 1), :last + 1)
    )
"""

_Row = TypeVar("_Row", bound=Sequence[object])


@dataclass
class Appended:
    """What a transaction has done: the result of each draft, and the new messages of each room."""

    results: list[Result] = field(default_factory=list)
    messages: dict[str, list[Message]] = field(default_factory=dict)


@dataclass
class _Room:
    id: int
    last: int
    time: float  # of its last message
    deleted_to: int  # its last number when it was last looked at for what is not kept any more

    @property
    def has_much_to_delete(self) -> bool:
        return self.last - self.deleted_to >= _DELETED_TOGETHER


class Log:
    """The tables of rooms, messages and keys. Raises sqlite3.Error; then nothing of what was asked for has been done."""

    def __init__(self, database: sqlite3.Connection, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._rooms = dict(self._read_rooms())
        seen, floor = database.execute("SELECT seen, floor FROM log").fetchone()
        self.floor = floor if type(floor) is int else 0
        newest = max((room.time for room in self._rooms.values()), default=0.0)
        self.clock = Clock(seen if type(seen) is float else None, newest)
        self.note_seen()
        for rooms in _chunks(self._rooms, _ROOMS_TOGETHER):
            self.delete_old(rooms)
        self.forget(self.quiet(self._rooms))

    def _read_rooms(self) -> Iterator[tuple[str, _Room]]:
        # As bytes, because SQLite does not go on after a text that is no UTF-8.
        for name, room_id, last, said_at in self._database.execute("SELECT CAST(name AS BLOB), id, last, time FROM rooms").fetchall():
            try:
                last = max(last, self._newest(room_id))  # a number that is behind the messages would be given twice
                yield name.decode(), _Room(room_id, last, said_at if type(said_at) is float and isfinite(said_at) else 0.0, last)
            except (TypeError, UnicodeDecodeError):
                logger.error("the room with the id %s cannot be read, and is passed over", room_id)

    def _newest(self, room_id: int) -> int:
        """Return the number of the last message that is kept in a room; 0 if there is none that can be read."""
        try:
            (newest,) = self._database.execute("SELECT max(seq) FROM messages WHERE room = ?", (room_id,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return 0
        return newest if type(newest) is int else 0

    def last_numbers(self) -> dict[str, int]:
        """Return the last number of each room."""
        return {name: room.last for name, room in self._rooms.items()}

    def append(self, drafts: Sequence[Draft]) -> Appended:
        """Append these, in one transaction that is on the disk when this returns."""
        try:
            return self._append(drafts, deletes=True)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return self._append(drafts, deletes=False)  # it may be only what was to be deleted that is damaged

    def _append(self, drafts: Sequence[Draft], *, deletes: bool) -> Appended:
        with self._transaction():
            rooms = {name: self._find(name) for name in {draft.room for draft in drafts}}
            appended = self._insert(drafts, rooms, deletes=deletes)
        for name, messages in appended.messages.items():
            if rooms[name].has_much_to_delete:  # it has been deleted, or cannot be
                rooms[name].deleted_to = rooms[name].last
            rooms[name].last, rooms[name].time = messages[-1].seq, messages[-1].time
        self._rooms.update(rooms)
        return appended

    def note_seen(self) -> None:
        """Note that the server is running, if it is known what time it is: by that, the clock is judged after a restart."""
        now = self.clock.relied_on()
        if now is not None:
            self.write("UPDATE log SET seen = ?", [(now,)])

    def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Carry a statement out for each of these rows, in one transaction that is on the disk when this returns."""
        with self._transaction():
            self._database.executemany(statement, rows)

    def write_nothing(self) -> None:
        """Change the file, and change it back, which has to be written: what stays as it is would not be."""
        with self._transaction():
            self._database.execute("INSERT INTO rules VALUES ('', 'check', '', 0, '')")
            self._database.execute("DELETE FROM rules WHERE kind = 'check'")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing; it is on the disk at the end."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk may have ended it already
                self._database.execute("ROLLBACK")
            raise

    def _find(self, name: str) -> _Room:
        known = self._rooms.get(name)
        if known is None:
            cursor = self._database.execute("INSERT INTO rooms (name, last) VALUES (?, ?)", (name, self.floor))
            known = _Room(cursor.lastrowid or 0, self.floor, 0.0, self.floor)
        return known

    def _insert(self, drafts: Sequence[Draft], rooms: dict[str, _Room], *, deletes: bool) -> Appended:
        appended = Appended()
        known = self._known_keys((rooms[draft.room].id, draft.key) for draft in drafts if draft.key is not None)
        keys = []
        said_at = {name: self.clock.time_after(room.time) for name, room in rooms.items()}
        for draft in drafts:
            room = rooms[draft.room]
            earlier = known.get((room.id, draft.key)) if draft.key is not None else None
            if earlier is not None:
                seq, digest = earlier
                appended.results.append(Known(seq) if digest == digest_of(draft.text) else rejected_key())
                continue
            messages = appended.messages.setdefault(draft.room, [])
            seq = room.last + len(messages) + 1
            messages.append(Message(draft.room, seq, draft.sender, draft.text, said_at[draft.room]))
            appended.results.append(seq)
            if draft.key is not None:
                digest = digest_of(draft.text)
                known[room.id, draft.key] = seq, digest
                keys.append((room.id, draft.key, seq, digest))
        for name, messages in appended.messages.items():
            room = rooms[name]
            self._insert_rows("INSERT INTO messages", [(room.id, *message[1:]) for message in messages])
            self._database.execute("UPDATE rooms SET last = ?, time = ? WHERE id = ?", (messages[-1].seq, messages[-1].time, room.id))
            if deletes and room.has_much_to_delete:
                self._delete_forgotten(room, messages[-1].seq)
        self._insert_rows("INSERT OR REPLACE INTO keys", keys)  # a row that says nothing of use may be there
        return appended

    def _known_keys(self, keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, bytes]]:
        """The numbers and the digests of what was said with these keys."""
        known: dict[tuple[int, str], tuple[int, bytes]] = {}
        for some in _chunks(keys):
            # CROSS JOIN keeps SQLite to this order: look each up, instead of going through all that there are.
            rows = self._database.execute(
                f"""
                WITH wanted (room, key) AS (VALUES {",".join(["(?,?)"] * len(some))})
                SELECT room, key, seq, digest FROM wanted CROSS JOIN keys USING (room, key)
                """,
                [value for key in some for value in key],
            )
            known.update(((room, key), (seq, digest)) for room, key, seq, digest in rows if type(seq) is int and type(digest) is bytes)
        return known

    def _insert_rows(self, insert: str, rows: Sequence[Sequence[object]]) -> None:
        for some in _chunks(rows):
            values = ",".join([f"({','.join('?' * len(some[0]))})"] * len(some))
            self._database.execute(f"{insert} VALUES {values}", [value for row in some for value in row])

    def names(self) -> list[str]:
        """Return the rooms that there are."""
        return list(self._rooms)

    def quiet(self, names: Iterable[str]) -> list[str]:
        """Return those of these rooms in which nothing has been said for so long, and nothing is kept, that they can be forgotten."""
        quiet_time = self._retention.quiet_time(self.clock.relied_on())
        rooms = ((name, self._rooms[name]) for name in names if name in self._rooms)
        return [name for name, room in rooms if room.time < quiet_time and not self._has_messages(room)]

    def forget(self, names: Iterable[str]) -> None:
        """Forget these rooms. The numbers of all others that are made go on above theirs."""
        for some in _chunks(names, _ROOMS_TOGETHER):
            rooms = [self._rooms[name] for name in some]
            floor = max(self.floor, *(room.last for room in rooms))
            with self._transaction():
                self._database.execute("UPDATE log SET floor = ?", (floor,))
                for statement in ("messages WHERE room", "keys WHERE room", "rooms WHERE id"):
                    self._database.executemany(f"DELETE FROM {statement} = ?", [(room.id,) for room in rooms])
            self.floor = floor
            for name in some:
                del self._rooms[name]

    def delete_old(self, names: Iterable[str]) -> None:
        """Delete what is not kept any more in these rooms, all in one transaction."""
        oldest_time = self._retention.oldest_time(self.clock.relied_on())
        rooms = [self._rooms[name] for name in names if name in self._rooms]
        if rooms := [room for room in rooms if self._has_messages(room, oldest_time)]:
            self._delete_apart(rooms)

    def _has_messages(self, room: _Room, before: float = inf) -> bool:
        """Return True if the first message in a room, which may be damaged, is from before this time, or one too many."""
        try:
            first = self._database.execute("SELECT seq, time FROM messages WHERE room = ? ORDER BY seq LIMIT 1", (room.id,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return True
        if first is None:
            return False
        seq, said_at = first
        if type(seq) is not int or type(said_at) is not float:
            return True
        return said_at <= before or seq < self._retention.oldest_seq(room.last)

    def _delete_apart(self, rooms: Sequence[_Room]) -> None:
        """Delete what is not kept any more in these rooms. What cannot be deleted, because it is damaged, stays: it is not shown."""
        try:
            with self._transaction():
                for room in rooms:
                    self._delete_forgotten(room, room.last)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            if len(rooms) == 1:
                logger.error("what is not kept any more of the room with the id %s cannot be deleted: %s", rooms[0].id, error)
            else:
                for room in rooms:
                    self._delete_apart([room])

    def _delete_forgotten(self, room: _Room, last: int) -> None:
        """Delete what is not kept any more in a room whose last number is given."""
        bounds = {"oldest_seq": self._retention.oldest_seq(last), "oldest_time": self._retention.oldest_time(self.clock.relied_on())}
        self._database.execute(_DELETE_FORGOTTEN, {"room": room.id, "last": last, **bounds})
        self._database.execute("DELETE FROM keys WHERE room = ? AND seq <= ?", (room.id, last - KEYS_KEPT))


def _chunks(rows: Iterable[_Row], size: int = _ROWS_TOGETHER) -> Iterator[list[_Row]]:
    rest = iter(rows)
    while some := list(islice(rest, size)):
        yield some
