"""Helpers for the tests of the SQLite broker."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.brokers.wiring import RecordingPublisher
from tests.concurrency import TIMEOUT
from wschat.brokers.base import Draft, Outcome
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import UsageError

NO_TEXT = {"text": "CAST(x'ff' || text AS TEXT)"}


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as another program does."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        yield database


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the file, like another program that is writing to it."""
    with open_database(path) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def rows_of(path: Path, table: str) -> int:
    with open_database(path) as database:
        (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def refusal(path: Path) -> str:
    """Return the error for a file that cannot be a history. Check that it is not left open."""
    with pytest.raises(UsageError) as caught:
        SqliteBroker(path).close()
    assert not descriptors_in(path.parent)
    return str(caught.value)


def descriptors_in(folder: Path) -> list[str]:
    """Return the files of a folder that this process has open, if the system reports them."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue  # the descriptor of `glob`
        if target.startswith(f"{folder}{os.sep}"):
            found.append(target)
    return found


def in_another_process(action: Callable[..., None], *arguments: object) -> list[str]:
    """Return the command that calls `action` in another process."""
    code = f"from {action.__module__} import {action.__name__} as act; act({', '.join(map(repr, arguments))})"
    return [sys.executable, "-c", code]


def top() -> Path:
    """Return the folder from which the tests can be imported."""
    return Path(__file__).parents[3]


class BlockingPublisher(RecordingPublisher):
    """A publisher that blocks the broker's thread, so that drafts accumulate in the queue."""

    def __init__(self, broker: SqliteBroker) -> None:
        super().__init__(broker)
        self._released = threading.Event()
        self._reached = threading.Event()

    def on_appended(self, outcomes: list[Outcome]) -> None:
        self._reached.set()
        assert self._released.wait(TIMEOUT)
        super().on_appended(outcomes)

    def block(self, room: str = "blocker") -> None:
        self.begin(Draft(room, "blocker", "shut"))
        assert self._reached.wait(TIMEOUT)

    def release(self) -> None:
        self._released.set()


def change(path: Path, statement: str) -> None:
    """Change the file, like another program or a failing disk."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert database.execute(statement).rowcount


def spoil(path: Path, row: dict[str, str], *seqs: int) -> None:
    change(path, f"UPDATE messages SET {', '.join(f'{name} = {value}' for name, value in row.items())} WHERE seq IN {(*seqs, -1)}")
