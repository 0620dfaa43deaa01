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

from tests.brokers.wiring import Speaker
from tests.concurrency import TIMEOUT
from wschat.brokers.base import Draft, Outcome
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import UsageError

NO_TEXT = {"text": "CAST(x'ff' || text AS TEXT)"}


@contextmanager
def looking_into(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        yield database


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program is writing to the file, and does not come to an end."""
    with looking_into(path) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def rows_of(path: Path, table: str) -> int:
    with looking_into(path) as database:
        (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def refusal(path: Path) -> str:
    """Why there can be no history in this place. Nothing of it stays open."""
    with pytest.raises(UsageError) as caught:
        SqliteBroker(path).close()
    assert not descriptors_in(path.parent)
    return str(caught.value)


def descriptors_in(folder: Path) -> list[str]:
    """The files of a folder that this process has open, where the system says so."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue  # the one that `glob` had
        if target.startswith(f"{folder}{os.sep}"):
            found.append(target)
    return found


def in_another_process(action: Callable[..., None], *arguments: object) -> list[str]:
    """The command that does this."""
    code = f"from {action.__module__} import {action.__name__} as act; act({', '.join(map(repr, arguments))})"
    return [sys.executable, "-c", code]


def top() -> Path:
    """From where the tests can be imported."""
    return Path(__file__).parents[3]


class Gate(Speaker):
    """A publisher that keeps the broker waiting, against the rule, so that what is appended meanwhile gathers."""

    def __init__(self, broker: SqliteBroker) -> None:
        super().__init__(broker)
        self._opened = threading.Event()
        self._reached = threading.Event()

    def on_appended(self, outcomes: list[Outcome]) -> None:
        self._reached.set()
        assert self._opened.wait(TIMEOUT)
        super().on_appended(outcomes)

    def shut(self, room: str = "gate") -> None:
        self.begin(Draft(room, "gate", "shut"))
        assert self._reached.wait(TIMEOUT)

    def open(self) -> None:
        self._opened.set()


def change(path: Path, statement: str) -> None:
    """As another program does, or a disk that forgets."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert database.execute(statement).rowcount


def spoil(path: Path, row: dict[str, str], *seqs: int) -> None:
    change(path, f"UPDATE messages SET {', '.join(f'{name} = {value}' for name, value in row.items())} WHERE seq IN {(*seqs, -1)}")
