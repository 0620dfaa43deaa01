"""The log in an SQLite file, for one server: what all rooms are told meanwhile is made durable in one transaction.

One thread writes messages: it takes all that waits, commits it, hands it on, and tells the authors. While the disk works the
next batch gathers, so the busier it is, the less a message costs. Reads and rules have connections of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from wschat.brokers.base import Author, Broker, Draft, Message, Outcome, Result, Retention, Rule, Subscriber
from wschat.brokers.log import Log
from wschat.brokers.presence import Presence
from wschat.brokers.schema import migrate
from wschat.errors import HistoryUnavailable, UsageError

logger = logging.getLogger("wschat.brokers")

# The most that one transaction takes: beyond this it only takes longer.
_BATCH = 1000
# So many drafts may wait before `append` does.
_MAX_WAITING = 20_000
# How long a statement waits for a lock that another program has on the file.
_SECONDS_TO_WAIT_FOR_LOCK = 2.0
_CONNECTIONS_KEPT = 4
_MAX_INTEGER = (1 << 63) - 1  # of SQLite's

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
        self.path = Path(path)
        self._retention = retention or Retention()
        with contextlib.ExitStack() as opened:
            self._lock_file = opened.enter_context(_own(self.path))
            try:
                self._database = opened.enter_context(contextlib.closing(_connect(self.path)))
                migrate(self._database, str(self.path))
                (self.epoch,) = self._database.execute("SELECT epoch FROM log").fetchone()
                self._log = Log(self._database, self._retention)
            except sqlite3.Error as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error}") from None
            opened.pop_all()
        self._idle: deque[sqlite3.Connection] = deque()  # for reads and rules; taken and put back by any thread
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
            if len(self._queue) == 1:
                self._queue_changed.notify_all()

    def close(self) -> None:
        with self._queue_changed:
            self._is_closing = True
            self._queue_changed.notify_all()
        self._writer.join()
        while self._idle:
            self._idle.pop().close()
        self._database.close()
        self._lock_file.close()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._settle(batch)
            except Exception:
                logger.exception("a batch of messages failed")  # the next ones still need us

    def _next_batch(self) -> list[_Waiting]:
        """Wait for something to append; nothing at the end."""
        with self._queue_changed:
            while not self._queue and not self._is_closing:
                self._queue_changed.wait()
            was_full = len(self._queue) >= _MAX_WAITING
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            if was_full:
                self._queue_changed.notify_all()
            return batch

    def _settle(self, batch: list[_Waiting]) -> None:
        """Make these durable, hand them on, and tell their authors."""
        results: Sequence[Result]
        try:
            appended = self._log.append([draft for draft, _ in batch])
        except sqlite3.Error as error:
            logger.error("%d messages cannot be kept in %s: %s", len(batch), self.path, error)
            results = [HistoryUnavailable(f"the history cannot be written: {error}")] * len(batch)
        else:
            results = appended.results
            self._hand_on(appended.messages)
        outcomes: dict[Author, list[Outcome]] = {}
        for (draft, author), result in zip(batch, results, strict=True):
            outcomes.setdefault(author, []).append((draft, result))
        for author, theirs in outcomes.items():
            author.settled(theirs)

    def _hand_on(self, messages_of: dict[str, list[Message]]) -> None:
        told: list[Subscriber] = []
        with self._log_guard:
            for name, messages in messages_of.items():
                room = self._rooms.setdefault(name, _Room())
                room.last = messages[-1].seq
                for subscriber in room.subscribers:
                    subscriber.take(messages)
                    told.append(subscriber)
        for subscriber in told:
            subscriber.flush()

    # Reading

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._read(room, "seq > ?", seq, "ASC", limit)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._read(room, "seq < ?", _MAX_INTEGER if seq is None else seq, "DESC", limit)[::-1]

    def _read(self, room: str, condition: str, seq: int, order: str, limit: int) -> list[Message]:
        with self._log_guard:
            first = self._retention.oldest_seq(self._rooms[room].last) if room in self._rooms else 1
        rows = self._query(
            f"""
            SELECT seq, sender, text, time FROM messages WHERE room = (SELECT id FROM rooms WHERE name = ?)
            AND {condition} AND seq >= ? AND time >= ? ORDER BY seq {order} LIMIT ?
            """,
            (room, min(seq, _MAX_INTEGER), first, self._retention.oldest_time(time.time()), limit),
        )
        return [Message(room, *row) for row in rows]

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
        return [Rule(*row) for row in self._query("SELECT room, kind, subject, until, decided_by FROM rules", ())]

    def set_rule(self, rule: Rule) -> None:
        self._query("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?)", rule)

    def lift_rule(self, room: str, kind: str, subject: str) -> None:
        self._query("DELETE FROM rules WHERE room = ? AND kind = ? AND subject = ?", (room, kind, subject))

    def _query(self, statement: str, values: Sequence[object]) -> list[Any]:
        """Run one statement, on a connection that nobody else uses just now."""
        try:
            database = self._take_connection()
            try:
                rows = database.execute(statement, values).fetchall()
            except BaseException:
                database.close()
                raise
        except sqlite3.Error as error:
            raise HistoryUnavailable(f"the history cannot be used: {error}") from None
        self._idle.append(database)
        if len(self._idle) > _CONNECTIONS_KEPT:
            self._take_connection().close()
        return rows

    def _take_connection(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return _connect(self.path)


def _own(path: Path) -> IO[str]:
    """Have this history for ourselves, as long as the file that is returned is open. The lock is on a file beside it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        lock_file = open(f"{path}.lock", "w")  # noqa: SIM115  # closed by whoever asked for it
    except OSError as error:
        raise UsageError(f"cannot keep a history in {path}: {error.strerror}") from None
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock_file.close()
        raise UsageError(f"the history in {path} is in use by another server") from None
    return lock_file


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=_SECONDS_TO_WAIT_FOR_LOCK, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        database.close()
        raise
    return database
