"""A copy of a history, while a server uses it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from wschat.brokers.sqlite.schema import check_compatible
from wschat.errors import UsageError

# Pages of one step, and the seconds between two: other connections write between the steps.
_PAGES = 1000
_PAUSE = 0.005


def back_up(history: Path, target: Path) -> int:
    """Copy a history to a new file, and return the number of messages in the copy.

    The copy is that of one moment, and appears under its name when it is whole, checked and on the disk. The history may be in use. Waits.
    Raises UsageError if there is no history, or if the copy exists already or cannot be written.
    """
    if not history.is_file():
        raise UsageError(f"there is no history in {history}")
    if os.path.lexists(target):
        raise UsageError(f"{target} exists already")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was interrupted
        with _opened(f"{history.resolve().as_uri()}?mode=ro") as source:
            check_compatible(source, str(history))
            number = _copy(source, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.link(part, target)  # which fails if another program has made a file of this name meanwhile
    except FileExistsError:
        raise UsageError(f"{target} exists already") from None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise UsageError(f"cannot copy {history}: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return number


def _copy(source: sqlite3.Connection, path: Path) -> int:
    with _opened(path.absolute().as_uri()) as copy:
        source.backup(copy, pages=_PAGES, sleep=_PAUSE)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
        (result,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged, as the history may be: {result}")
        (number,) = copy.execute("SELECT count(*) FROM messages").fetchone()
        return int(number)


@contextlib.contextmanager
def _opened(address: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
        yield database
