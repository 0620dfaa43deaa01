"""Connections to the database: one for the writer thread, and a few for reads."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from wschat.brokers.sqlite.file_lock import Identity, identity_of
from wschat.errors import HistoryUnavailable

logger = logging.getLogger("wschat.brokers")

# Seconds for which a statement waits for a lock that another program has on the file, as a shell or a backup.
_LOCK_TIMEOUT = 10.0
MAX_READERS = 4
"""The most connections for reads: each takes descriptors and memory."""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open an existing database. Raises sqlite3.Error.

    It is never created here: if it is not there it was removed, and the next server would take the new file for the history.
    """
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256)


def make_durable(database: sqlite3.Connection) -> None:
    """Have each commit on the disk when it returns. Changes the header of the file, unless it has a write-ahead log already."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")


def _open_reader(path: Path) -> sqlite3.Connection:
    database = open_writer(path)
    database.execute("PRAGMA query_only = ON")
    database.text_factory = bytes
    return database


class DatabaseFiles:
    """The open files of a database, which may have been removed or replaced by others of the same names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identities = self._find()

    @property
    def identity(self) -> Identity | None:
        """Which file had the path of the database when this was made."""
        return self._identities[0]

    def check(self) -> None:
        """Raise sqlite3.OperationalError if the files of these names are others now. SQLite itself would go on, and the data be lost."""
        if self._find() != self._identities:
            raise sqlite3.OperationalError("its file has been removed or replaced")

    def _find(self) -> tuple[Identity | None, Identity | None]:
        """Return the identities of the database and of its write-ahead log, which some file systems cannot have."""
        return identity_of(self._path), identity_of(Path(f"{self._path}-wal"))


class ReaderPool:
    """Connections for reads, opened as they are needed. Its methods may be called from any thread.

    They return texts as bytes: the error of SQLite for a text that is not UTF-8 would quote it.
    """

    def __init__(self, path: Path, files: DatabaseFiles) -> None:
        self._path = path
        self._files = files
        self._free = threading.Semaphore(MAX_READERS)
        self._idle: deque[sqlite3.Connection] = deque()
        self._is_closed = False

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to the calling thread, which may have to wait for one. Turns sqlite3.Error into HistoryUnavailable."""
        with self._free:
            if self._is_closed:
                raise HistoryUnavailable("the history is closed")
            try:
                self._files.check()
                database = self._take_idle() or _open_reader(self._path)
                try:
                    yield database
                except BaseException:
                    database.close()  # which ends its transaction
                    raise
            except sqlite3.Error as error:
                logger.error("%s cannot be read: %s", self._path, error)
                raise HistoryUnavailable(f"the history cannot be used: {error}") from None
            self._idle.append(database)

    def _take_idle(self) -> sqlite3.Connection | None:
        try:
            return self._idle.pop()
        except IndexError:  # also if another thread has taken the last one just now
            return None

    def leave_to_parent(self) -> None:
        """Lend no more connections in a forked child. None is closed: SQLite would take part in what the parent does with the files."""
        self._is_closed = True
        self._free = threading.Semaphore(MAX_READERS)

    def close(self) -> None:
        """Wait for the reads in progress, and close all connections."""
        self._is_closed = True
        for _ in range(MAX_READERS):
            self._free.acquire()
        while database := self._take_idle():
            database.close()
        for _ in range(MAX_READERS):
            self._free.release()
