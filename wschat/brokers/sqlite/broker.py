"""The log in an SQLite file, for one server: what all rooms are told meanwhile is made durable in one transaction.

One thread writes. It takes all messages that wait, commits them, hands them on, and tells the authors. While the disk works the
next batch gathers, so the busier it is, the less a message costs. Whatever else is to be written is a job for that thread, too:
nothing in this process ever waits for a lock of SQLite's. Reads have connections of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

from wschat.brokers.base import Author, Broker, Draft, Message, Outcome, Result, Retention, Rule, Subscriber, hand_on, within_bounds
from wschat.brokers.presence import Presence
from wschat.brokers.room_table import KnownRoom, RoomTable
from wschat.brokers.sqlite.file_lock import FileLock, Identity, identity_of
from wschat.brokers.sqlite.log import Appended, Log
from wschat.brokers.sqlite.reading import Reading, Unreadable, is_damage
from wschat.brokers.sqlite.schema import check, migrate
from wschat.brokers.sqlite.work import Job, Waiting, Work
from wschat.counters import counters
from wschat.daemons import start_daemon
from wschat.errors import HistoryUnavailable, UsageError

logger = logging.getLogger("wschat.brokers")

# How long a statement waits for a lock that another program has on the file: a shell, or a backup.
_SECONDS_TO_WAIT_FOR_LOCK = 10.0
# How often the file is looked after.
_SECONDS_BETWEEN_ROUNDS = 3600.0
_ROOMS_AT_ONCE = 200  # between two batches of messages
_CONNECTIONS = 4
_MAX_INTEGER = (1 << 63) - 1  # of SQLite's

_NOT_IN_PLACE = "its file has been removed or replaced"


class SqliteBroker(RoomTable[KnownRoom], Presence, Broker):
    """Keeps the log in a file, made if it is not there. Raises UsageError if that cannot be.

    One server has a file for itself: a second one that is given the same is refused.
    """

    def __init__(self, path: str | os.PathLike[str], retention: Retention | None = None) -> None:
        RoomTable.__init__(self)
        Presence.__init__(self)
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
                self.epoch = _epoch_of(self._database)
                self._log = Log(self._database, self._retention)
                self.clock = self._log.clock
                self._files = self._files_in_place()
                if self._files[0] != self._lock.identity:
                    raise sqlite3.OperationalError(_NOT_IN_PLACE)
            except sqlite3.Error as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error}") from None
            self._unreadable = Unreadable(str(self.path))
            # For reads: so many connections, taken and put back by any thread.
            self._connections = threading.Semaphore(_CONNECTIONS)
            self._idle: deque[sqlite3.Connection] = deque()
            last_numbers = self._log.last_numbers().items()
            self.know(((name, KnownRoom(last, is_spoken_in=True)) for name, last in last_numbers), self._log.floor)
            self._work = Work()
            try:
                self._writer = start_daemon(self._run, "wschat-history")
            except OSError as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error.strerror}") from None
            opened.pop_all()

    # Appending

    def append(self, draft: Draft, author: Author) -> None:
        self._work.put(draft, author)

    def close(self) -> None:
        self._work.close()
        if sys.is_finalizing():
            return  # the writer, a daemon, never runs again; what was acknowledged is on the disk
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
        steps = self._rounds()
        step_at = monotonic() + next(steps)
        while turn := self._work.next(step_at):
            for job in turn.jobs:
                self._run_job(job)
            if turn.batch:
                self._settle(turn.batch)
            if monotonic() >= step_at:
                step_at = monotonic() + next(steps)
        self._database.execute("PRAGMA busy_timeout = 0")  # whoever stops a server does not wait for other programs
        self._run_job(Job(self._note_seen))

    def _rounds(self) -> Iterator[float]:
        """Look after the file again and again, in steps between which messages are written; yield the seconds until the next one."""
        while True:
            yield _SECONDS_BETWEEN_ROUNDS
            self._run_job(Job(self._note_seen))
            for names in _chunks(self._log.names()):
                self._run_job(Job(partial(self._log.delete_old, names)))
                yield 0.0
            for names in _chunks(self._log.quiet(self._log.names())):
                self._run_job(Job(partial(self._forget, names)))
                yield 0.0

    def _run_job(self, job: Job) -> None:
        try:
            job.run()
        except Exception as error:  # whoever waits for it is told
            logger.error("%s cannot be written: %s", self.path, error)

    def _note_seen(self) -> None:
        self._check_files()
        self._log.note_seen()

    def _forget(self, names: list[str]) -> None:
        """Forget those of these rooms that nobody subscribes to, and where nothing has been said meanwhile."""
        quiet = set(self._log.quiet(names))
        with self._log_guard:
            names = [name for name in quiet if not self._rooms[name].subscribers]
        self._log.forget(names)
        with self._log_guard:
            self._floor = self._log.floor
            for name in names:
                self._names.remove(name)
                if self._rooms[name].subscribers:  # who came meanwhile goes on with the numbers that are next
                    self._rooms[name].is_spoken_in, self._rooms[name].last = False, self._floor
                else:
                    del self._rooms[name]

    def _settle(self, batch: list[Waiting]) -> None:
        """Make these durable, hand them on, and tell their authors."""
        appended = self._append([draft for draft, _ in batch])
        if appended.messages:
            self._hand_on(appended.messages)
        outcomes: dict[int, tuple[Author, list[Outcome]]] = {}
        for (draft, author), result in zip(batch, appended.results, strict=True):
            outcomes.setdefault(id(author), (author, []))[1].append((draft, result))
        for author, theirs in outcomes.values():
            hand_on(author.settled, theirs)

    def _append(self, drafts: list[Draft]) -> Appended:
        """Make these durable, in one transaction or, if the file is damaged where one of their rooms is, in one for each room."""
        try:
            self._check_files()
            return self._log.append(drafts)
        except Exception as error:  # SQLite's, or a text that cannot be written: whatever it is, the authors wait for an answer
            rooms = {draft.room for draft in drafts}
            if len(rooms) > 1 and (is_damage(error) or isinstance(error, sqlite3.IntegrityError)):
                return self._append_apart(drafts, rooms)
            logger.error("%d messages cannot be kept in %s: %s", len(drafts), self.path, error)
            return Appended([HistoryUnavailable(f"the history cannot be written: {error}")] * len(drafts))

    def _append_apart(self, drafts: list[Draft], rooms: set[str]) -> Appended:
        results: dict[int, Result] = {}
        messages: dict[str, list[Message]] = {}
        for room in rooms:
            theirs = [number for number, draft in enumerate(drafts) if draft.room == room]
            appended = self._append([drafts[number] for number in theirs])
            results.update(zip(theirs, appended.results, strict=True))
            messages.update(appended.messages)
        return Appended([results[number] for number in range(len(drafts))], messages)

    def _hand_on(self, messages_of: dict[str, list[Message]]) -> None:
        counters.count_messages(sum(map(len, messages_of.values())))
        told: list[Subscriber] = []
        with self._log_guard:
            for name, messages in messages_of.items():
                room = self._room(name)
                room.last = messages[-1].seq
                self._note_spoken(name, room)
                for subscriber in room.subscribers:
                    hand_on(subscriber.take, messages)
                    told.append(subscriber)
        for subscriber in told:
            hand_on(subscriber.flush)

    # Reading

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._read(room, seq + 1, _MAX_INTEGER, limit, is_backward=False)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._read(room, 1, _MAX_INTEGER if seq is None else seq - 1, limit, is_backward=True)[::-1]

    def _read(self, room: str, first: int, last: int, limit: int, *, is_backward: bool) -> list[Message]:
        with self._log_guard:
            known = self._rooms.get(room)
            if known is None:
                return []
            # Up to its last one only: what is on the disk already may not have been handed on yet.
            first, last = max(first, self._retention.oldest_seq(known.last)), min(last, known.last)
        if first > last or limit < 1:
            return []
        reading = Reading(room, first, last, self._retention.oldest_time(self.clock.relied_on()), is_backward=is_backward)
        with self._connection() as database, contextlib.closing(reading.messages(database)) as messages:
            read = within_bounds(messages, limit)
        if reading.unreadable:
            self._unreadable.note(room, reading.unreadable)
        return read

    def _new_room(self) -> KnownRoom:
        return KnownRoom(self._floor)

    # Rules

    def rules(self) -> list[Rule]:
        with self._connection() as database:
            rows = database.execute("SELECT room, kind, subject, until, decided_by FROM rules").fetchall()
        rules = [rule for rule in map(_rule, rows) if rule is not None]
        if len(rules) < len(rows):
            logger.error("%d rules in %s cannot be read, and do not hold", len(rows) - len(rules), self.path)
        return rules

    def set_rules(self, rules: Sequence[Rule]) -> None:
        self._write("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, ?, ?)", rules)

    def lift_rules(self, rules: Sequence[Rule]) -> None:
        self._write("DELETE FROM rules WHERE room = ? AND kind = ? AND subject = ?", [rule[:3] for rule in rules])

    # How it is doing

    def check(self) -> int:
        def check() -> None:
            self._check_files()
            self._log.write_nothing()

        self._work.check(check)
        return len(self._unreadable)

    def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        def write() -> None:
            self._check_files()
            self._log.write(statement, rows)

        self._work.do(write)

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
            if self._work.is_closing:
                raise HistoryUnavailable("the history is closed")
            try:
                self._check_files()
                database = self._idle.pop() if self._idle else _open_to_read(self.path)
                try:
                    yield database
                except BaseException:
                    database.close()  # and what was not committed is undone
                    raise
            except sqlite3.Error as error:
                logger.error("%s cannot be read: %s", self.path, error)
                raise HistoryUnavailable(f"the history cannot be used: {error}") from None
            self._idle.append(database)


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, _ROOMS_AT_ONCE)):
        yield some


def _open(path: Path) -> sqlite3.Connection:
    # Not to be made: where it is not, it has been removed, and another one would be taken for it by the next server.
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(
        address, uri=True, timeout=_SECONDS_TO_WAIT_FOR_LOCK, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _epoch_of(database: sqlite3.Connection) -> str:
    (epoch,) = database.execute("SELECT CAST(epoch AS BLOB) FROM log").fetchone() or (None,)
    if not isinstance(epoch, bytes) or not epoch.isalnum():  # which it goes into ids of events as
        raise sqlite3.DatabaseError("it has no epoch that can be read")
    return epoch.decode()


def _open_to_read(path: Path) -> sqlite3.Connection:
    database = _open(path)
    database.execute("PRAGMA query_only = ON")
    database.text_factory = bytes
    return database


def _rule(row: Any) -> Rule | None:
    """Return the rule of a row; None if it holds something else."""
    room, kind, subject, until, by = row
    try:
        rule = Rule(room.decode(), kind.decode(), subject.decode(), until, by.decode())
    except (AttributeError, UnicodeDecodeError):
        return None
    return rule if type(until) is float and isfinite(until) else None


def _make_durable(database: sqlite3.Connection) -> sqlite3.Connection:
    """Have what is committed on the disk when the commit returns. Changes the file, if it is not written so yet."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database
