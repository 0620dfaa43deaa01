"""The broker that keeps the log in an SQLite file, for one server.

One thread writes. It takes all messages that are queued, commits them in one transaction, delivers them, and reports the results to
their publishers. Meanwhile the next batch is queued, so the cost of a message falls with the load. All other writes are tasks of the same
thread, so no two threads of this process ever wait for a lock of SQLite. Reads have connections of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic

from wschat.brokers.base import Broker, Draft, Message, Publisher, Result, Retention, Rule
from wschat.brokers.callbacks import report_results
from wschat.brokers.paging import page_of
from wschat.brokers.presence import LocalPresence
from wschat.brokers.room_table import RoomEntry, RoomTable
from wschat.brokers.sqlite.connections import DatabaseFiles, ReaderPool, make_durable, open_writer
from wschat.brokers.sqlite.file_lock import FileLock
from wschat.brokers.sqlite.log_reader import RangeReader, UnreadableMessages, is_damage
from wschat.brokers.sqlite.log_writer import Appended, LogWriter
from wschat.brokers.sqlite.rules import DELETE_RULE, SET_RULE, read_rules
from wschat.brokers.sqlite.schema import check_compatible, migrate, read_epoch
from wschat.brokers.write_queue import PendingAppend, WriteQueue
from wschat.daemons import start_daemon
from wschat.errors import HistoryUnavailable, UsageError
from wschat.forks import ForkAware

logger = logging.getLogger("wschat.brokers")

# Seconds between two rounds of maintenance.
_MAINTENANCE_INTERVAL = 3600.0
_MAX_ROOMS_MAINTAINED = 200  # between two batches of messages
_MAX_INTEGER = (1 << 63) - 1  # of SQLite


class SqliteBroker(ForkAware, RoomTable[RoomEntry], LocalPresence, Broker):
    """Keeps the log and the rules in a file, which is created if it does not exist. Raises UsageError if that is not possible.

    A file belongs to one server: the second one that opens it is refused.
    """

    def __init__(self, path: str | os.PathLike[str], retention: Retention | None = None) -> None:
        super().__init__()
        self._retention = retention or Retention()
        try:
            self.path = Path(path).resolve()  # which stays the same if the working directory or a link changes
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or an invalid name
            raise UsageError(f"cannot keep a history in {path}: {error}") from None
        with contextlib.ExitStack() as opened:
            self._file_lock = opened.enter_context(contextlib.closing(FileLock(self.path)))
            try:
                self._database = opened.enter_context(contextlib.closing(open_writer(self.path)))
                self._open_log()
            except sqlite3.Error as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error}") from None
            self._unreadable = UnreadableMessages(str(self.path))
            self._readers = ReaderPool(self.path, self._files)
            self._queue = WriteQueue()
            try:
                self._writer = start_daemon(self._write, "wschat-history")
            except OSError as error:
                raise UsageError(f"cannot keep a history in {self.path}: {error.strerror}") from None
            opened.pop_all()
        self._watch_forks()

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._file_lock.leave_to_parent()
        # The connections stay as they are, and live as long as the process: the frame of the writer thread, which runs no more, has them.
        self._readers.leave_to_parent()
        self._queue = WriteQueue()
        self._queue.close()

    def _open_log(self) -> None:
        check_compatible(self._database, str(self.path))
        make_durable(self._database)
        migrate(self._database)
        self.epoch = read_epoch(self._database)
        self._log = LogWriter(self._database, self._retention)
        self.clock = self._log.clock
        self._files = DatabaseFiles(self.path)
        if self._files.identity != self._file_lock.identity:
            raise sqlite3.OperationalError("its file has been removed or replaced")
        topics, last_numbers = self._log.topics(), self._log.last_numbers().items()
        rooms = ((name, RoomEntry(last, has_log=True, topic=topics.get(name))) for name, last in last_numbers)
        self._load_rooms(rooms, self._log.floor)

    def check(self) -> int:
        def check() -> None:
            self._files.check()
            self._log.write_and_revert()

        self._queue.run_check(check)
        return len(self._unreadable)

    def close(self) -> None:
        if self._is_inherited:
            return
        self._queue.close()
        if sys.is_finalizing():
            return  # the writer is a daemon thread, and does not run any more; acknowledged messages are on the disk
        self._writer.join()
        self._readers.close()
        self._database.close()
        self._file_lock.close()

    # The writer thread

    def _write(self) -> None:
        steps = self._maintain()
        next_step_at = monotonic() + next(steps)
        while (work := self._queue.get(next_step_at)) is not None:
            for task in work.tasks:
                self._run_logged(task.run)
            if work.batch:
                self._append_batch(work.batch)
            if monotonic() >= next_step_at:
                next_step_at = monotonic() + next(steps)
        self._database.execute("PRAGMA busy_timeout = 0")  # another program that has locked the file must not delay the end
        self._run_logged(self._note_seen)

    def _maintain(self) -> Iterator[float]:
        """Delete old messages and forget quiet rooms, in steps. Yield the seconds to wait before the next step."""
        while True:
            yield _MAINTENANCE_INTERVAL
            self._run_logged(self._note_seen)
            for names in _chunks(self._log.names()):
                self._run_logged(partial(self._log.delete_old, names))
                yield 0.0
            for names in _chunks(self._log.quiet(self._log.names())):
                self._run_logged(partial(self._forget, names))
                yield 0.0

    def _run_logged(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # of SQLite, or of a value that cannot be stored: the thread has to go on
            logger.error("%s cannot be written: %s", self.path, error)

    def _note_seen(self) -> None:
        self._files.check()
        self._log.note_seen()

    def _forget(self, names: list[str]) -> None:
        """Forget rooms, without those that have a subscriber or a new message."""
        quiet = set(self._log.quiet(names))
        with self._rooms_lock:
            names = [name for name in quiet if not self._rooms[name].subscribers]
        self._log.forget(names)
        with self._rooms_lock:
            self._floor = self._log.floor
            for name in names:
                subscribers = self._rooms[name].subscribers
                self._forget_room(name)
                if subscribers:  # which came meanwhile
                    self._room(name).subscribers = subscribers

    def _append_batch(self, batch: list[PendingAppend]) -> None:
        """Make messages durable, deliver them, and report the results to their publishers."""
        appended = self._append_all([draft for draft, _ in batch])
        if appended.messages:
            with self._rooms_lock:
                receivers = self._deliver(appended.messages)
            self._flush(receivers)
        pairs = zip(batch, appended.results, strict=True)
        report_results((pending.publisher, pending.draft, result) for pending, result in pairs)

    def _append_all(self, drafts: list[Draft]) -> Appended:
        """Make messages durable in one transaction or, if the file is damaged where one of the rooms is, in one for each room."""
        try:
            self._files.check()
            return self._log.append(drafts)
        except Exception as error:  # of SQLite, or of a text that cannot be stored: the publishers wait for a result
            rooms = {draft.room for draft in drafts}
            if len(rooms) > 1 and (is_damage(error) or isinstance(error, sqlite3.IntegrityError)):
                return self._append_by_room(drafts, rooms)
            logger.error("%d messages cannot be kept in %s: %s", len(drafts), self.path, error)
            return Appended([HistoryUnavailable(f"the history cannot be written: {error}")] * len(drafts))

    def _append_by_room(self, drafts: list[Draft], rooms: set[str]) -> Appended:
        results: dict[int, Result] = {}
        messages: dict[str, list[Message]] = {}
        for room in rooms:
            indexes = [index for index, draft in enumerate(drafts) if draft.room == room]
            appended = self._append_all([drafts[index] for index in indexes])
            results.update(zip(indexes, appended.results, strict=True))
            messages.update(appended.messages)
        return Appended([results[index] for index in range(len(drafts))], messages)

    # The log

    def append(self, draft: Draft, publisher: Publisher) -> None:
        self._queue.put(draft, publisher)

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._read(room, seq + 1, _MAX_INTEGER, limit, is_backward=False)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._read(room, 1, _MAX_INTEGER if seq is None else seq - 1, limit, is_backward=True)[::-1]

    def _read(self, room: str, first: int, last: int, limit: int, *, is_backward: bool) -> list[Message]:
        with self._rooms_lock:
            entry = self._rooms.get(room)
            if entry is None:
                return []
            # Not beyond the last delivered message: later ones may be in the file already.
            first, last = max(first, self._retention.oldest_seq(entry.last)), min(last, entry.last)
        if first > last or limit < 1:
            return []
        reader = RangeReader(room, first, last, self._retention.oldest_time(self.clock.relied_on()), is_backward=is_backward)
        with self._readers.connection() as database, contextlib.closing(reader.messages(database)) as messages:
            page = page_of(messages, limit)
        if reader.unreadable:
            self._unreadable.record(room, reader.unreadable)
        return page

    def _new_room(self) -> RoomEntry:
        return RoomEntry(self._floor)

    # Rules

    def rules(self) -> list[Rule]:
        with self._readers.connection() as database:
            rules, unreadable = read_rules(database)
        if unreadable:
            logger.error("%d rules in %s cannot be read and do not hold", unreadable, self.path)
        return rules

    def set_rules(self, rules: Sequence[Rule]) -> None:
        self._write_rows(SET_RULE, rules)

    def delete_rules(self, rules: Sequence[Rule]) -> None:
        self._write_rows(DELETE_RULE, [rule[:3] for rule in rules])

    def _write_rows(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        def write() -> None:
            self._files.check()
            self._log.write(statement, rows)

        self._queue.run(write)


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, _MAX_ROOMS_MAINTAINED)):
        yield some
