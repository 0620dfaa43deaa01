"""The log in an SQLite file, for one server: what all rooms are told meanwhile is made durable in one transaction.

One thread writes messages: it takes all that waits, commits it, hands it on, and tells the authors. While the disk works the
next batch gathers, so the busier it is, the less a message costs. Reads and rules have connections of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from wschat.brokers.base import Author, Broker, Draft, Message, Outcome, Result, Retention, Rule, Subscriber, hand_on, within_bounds
from wschat.brokers.filelock import FileLock, Identity, identity_of
from wschat.brokers.log import Log
from wschat.brokers.presence import Presence
from wschat.brokers.schema import check, migrate
from wschat.errors import HistoryUnavailable, UsageError
from wschat.figures import tally

logger = logging.getLogger("wschat.brokers")

# The most that one transaction takes: beyond this it only takes longer.
_BATCH = 1000
# After a batch of more than a few, the next one is given a moment to gather, unless there is enough of it already: commits and
# writes to members cost the same for many messages as for one, and at ten thousand a second they are nearly all there is to do.
_FEW, _ENOUGH = 4, 100
_SECONDS_TO_GATHER = 0.002
# So many drafts may wait before `append` does.
_MAX_WAITING = 20_000
# How long a statement waits for a lock that another program has on the file.
_SECONDS_TO_WAIT_FOR_LOCK = 2.0
_CONNECTIONS = 4
_MAX_INTEGER = (1 << 63) - 1  # of SQLite's

_NOT_IN_PLACE = "its file has been removed or replaced"

_Waiting = tuple[Draft, Author]


class _Room:
    """What is known of a room without asking the disk; under the broker's lock."""

    __slots__ = ("last", "subscribers")

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self.subscribers: list[Subscriber] = []


class LocalBroker(Presence, Broker):
    """Keeps the log in a file, made if it is not there. Raises UsageError if that cannot be.

    One server has a file for itself: a second one that is given the same is refused.
    """

    def __init__(self, path: str | os.PathLike[str], retention: Retention | None = None) -> None:
        super().__init__()
        self._retention = retention or Retention()
        try:
            self.path = Path(path).resolve()  # the same file whatever becomes of links and of the current folder
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle, or a name that is none
            raise UsageError(f"cannot keep a history in {path}: {error}") from None
        with contextlib.ExitStack() as opened:
            self._lock = opened.enter_context(contextlib.closing(FileLock(self.path)))
            try:
                self._database = opened.enter_context(contextlib.closing(_open(self.path)))
                check(self._database, str(self.path))
                _make_durable(self._database)
                migrate(self._database)
                (self.epoch,) = self._database.execute("SELECT epoch FROM log").fetchone()
                self._log = Log(self._database, self._retention)
                self._files = self._files_in_place()
                if self._files[0] != self._lock.identity:
                    raise sqlite3.OperationalError(_NOT_IN_PLACE)
            except sqlite3.Error as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error}") from None
            opened.pop_all()
        # For reads and rules: so many connections, taken and put back by any thread.
        self._connections = threading.Semaphore(_CONNECTIONS)
        self._idle: deque[sqlite3.Connection] = deque()
        self._log_guard = threading.Lock()  # guards the one below; the locks of subscribers are taken while it is held
        self._rooms = {name: _Room(last) for name, last in self._log.last_numbers().items()}
        self._queue_changed = threading.Condition()  # guards the two below; nothing else is locked while it is held
        self._queue: deque[_Waiting] = deque()
        self._is_closing = False
        self._writer = threading.Thread(target=self._run, name="wschat-history", daemon=True)
        self._writer.start()

    # Appending

    def append(self, draft: Draft, author: Author) -> None:
        with self._queue_changed:
            while len(self._queue) >= _MAX_WAITING and not self._is_closing:
                self._queue_changed.wait()
            if self._is_closing:
                raise HistoryUnavailable("the history is closed")
            self._queue.append((draft, author))
            if len(self._queue) in (1, _ENOUGH):
                self._queue_changed.notify_all()

    def close(self) -> None:
        with self._queue_changed:
            self._is_closing = True
            self._queue_changed.notify_all()
        self._writer.join()
        for _ in range(_CONNECTIONS):  # whoever reads just now ends first
            self._connections.acquire()
        while self._idle:
            self._idle.pop().close()
        for _ in range(_CONNECTIONS):
            self._connections.release()
        self._database.close()
        self._lock.close()

    def _run(self) -> None:
        batch: list[_Waiting] = []
        while batch := self._next_batch(is_busy=len(batch) > _FEW):
            self._settle(batch)

    def _next_batch(self, *, is_busy: bool) -> list[_Waiting]:
        """Wait for something to append, and in a busy time a little longer; nothing at the end."""
        with self._queue_changed:
            while not self._queue and not self._is_closing:
                self._queue_changed.wait()
            if is_busy and len(self._queue) < _ENOUGH and not self._is_closing:
                self._queue_changed.wait(_SECONDS_TO_GATHER)
            was_full = len(self._queue) >= _MAX_WAITING
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            if was_full:
                self._queue_changed.notify_all()
            return batch

    def _settle(self, batch: list[_Waiting]) -> None:
        """Make these durable, hand them on, and tell their authors."""
        results: Sequence[Result]
        try:
            self._check_files()
            appended = self._log.append([draft for draft, _ in batch])
        except Exception as error:  # SQLite's, or a text that cannot be written: whatever it is, the authors wait for an answer
            logger.error("%d messages cannot be kept in %s: %s", len(batch), self.path, error)
            results = [HistoryUnavailable(f"the history cannot be written: {error}")] * len(batch)
        else:
            results = appended.results
            self._hand_on(appended.messages)
        outcomes: dict[int, tuple[Author, list[Outcome]]] = {}
        for (draft, author), result in zip(batch, results, strict=True):
            outcomes.setdefault(id(author), (author, []))[1].append((draft, result))
        for author, theirs in outcomes.values():
            hand_on(author.settled, theirs)

    def _hand_on(self, messages_of: dict[str, list[Message]]) -> None:
        tally.count_messages(sum(map(len, messages_of.values())))
        told: list[Subscriber] = []
        with self._log_guard:
            for name, messages in messages_of.items():
                room = self._rooms.setdefault(name, _Room())
                room.last = messages[-1].seq
                for subscriber in room.subscribers:
                    hand_on(subscriber.take, messages)
                    told.append(subscriber)
        for subscriber in told:
            hand_on(subscriber.flush)

    # Reading

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._read(room, seq + 1, _MAX_INTEGER, "ASC", limit)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._read(room, 1, _MAX_INTEGER if seq is None else seq - 1, "DESC", limit)[::-1]

    def _read(self, room: str, first: int, last: int, order: str, limit: int) -> list[Message]:
        with self._log_guard:
            known = self._rooms.get(room)
            if known is None:
                return []
            # Up to its last one only: what is on the disk already may not have been handed on yet.
            first, last = max(first, self._retention.oldest_seq(known.last)), min(last, known.last)
        if first > last or limit < 1:
            return []
        with self._connection() as database:
            rows = database.execute(
                f"""
                SELECT seq, sender, text, time FROM messages WHERE room = (SELECT id FROM rooms WHERE name = ?)
                AND seq BETWEEN ? AND ? AND time >= ? ORDER BY seq {order} LIMIT ?
                """,
                (room, first, last, self._retention.oldest_time(time.time()), min(limit, _MAX_INTEGER)),
            )
            with contextlib.closing(rows):
                return within_bounds((Message(room, *row) for row in rows), limit)

    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        with self._log_guard:
            known = self._rooms.setdefault(room, _Room())
            known.subscribers.append(subscriber)
            return known.last

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        with self._log_guard:
            known = self._rooms[room]
            known.subscribers.remove(subscriber)
            if not known.last and not known.subscribers:
                del self._rooms[room]  # nothing was ever said there

    def last_numbers(self) -> dict[str, int]:
        with self._log_guard:
            return {name: room.last for name, room in self._rooms.items() if room.last}

    # Rules

    def rules(self) -> list[Rule]:
        with self._connection() as database:
            return [Rule(*row) for row in database.execute("SELECT room, kind, subject, until, decided_by FROM rules")]

    def set_rules(self, rules: Sequence[Rule]) -> None:
        self._write("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?)", rules)

    def lift_rules(self, rules: Sequence[Rule]) -> None:
        self._write("DELETE FROM rules WHERE room = ? AND kind = ? AND subject = ?", [rule[:3] for rule in rules])

    def check(self) -> None:
        with self._connection() as database:
            # A change that comes to nothing, but has to be written: what stays as it is would not be.
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO rules VALUES ('', 'check', '', 0, '')")
            database.execute("DELETE FROM rules WHERE kind = 'check'")
            database.execute("COMMIT")

    def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._connection() as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(statement, rows)
            database.execute("COMMIT")

    def _check_files(self) -> None:
        """Raise an error of SQLite's, which does not notice, if the open files are no longer those of their names.

        Nobody would find again what is put into them.
        """
        if self._files_in_place() != self._files:
            raise sqlite3.OperationalError(_NOT_IN_PLACE)

    def _files_in_place(self) -> tuple[Identity | None, Identity | None]:
        """Which files have the names of ours just now: the database, and what was committed and has yet to be put into it.

        There is no second one where the file system cannot have it.
        """
        return identity_of(self.path), identity_of(Path(f"{self.path}-wal"))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses just now; may wait for one. Raises HistoryUnavailable for what SQLite raises."""
        with self._connections:
            if self._is_closing:
                raise HistoryUnavailable("the history is closed")
            try:
                self._check_files()
                database = self._idle.pop() if self._idle else _make_durable(_open(self.path))
                try:
                    yield database
                except BaseException:
                    database.close()  # and what was not committed is undone
                    raise
            except sqlite3.Error as error:
                raise HistoryUnavailable(f"the history cannot be used: {error}") from None
            self._idle.append(database)


def _open(path: Path) -> sqlite3.Connection:
    # Not to be made: where it is not, it has been removed, and another one would be taken for it by the next server.
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(
        address, uri=True, timeout=_SECONDS_TO_WAIT_FOR_LOCK, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _make_durable(database: sqlite3.Connection) -> sqlite3.Connection:
    """Have what is committed on the disk when the commit returns. Changes the file, if it is not written so yet."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database
