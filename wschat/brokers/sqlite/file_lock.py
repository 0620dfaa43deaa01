"""The lock that a server holds on its history file, so that no second server opens it. From any thread.

On Linux it is a lock on the file itself: it holds for every name of the file, and nobody can delete it. It is on one byte that
SQLite neither writes nor locks, so the two never meet, on a network file system either. Elsewhere, as on macOS, there is no such
lock that SQLite leaves alone, and a file beside the history is locked.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

from wschat.errors import UsageError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

Identity = tuple[int, int]
"""The device and the number of a file: the same for all its names."""

# SQLite locks the bytes from 1 GiB on, 512 of them, and keeps no data in the page that they are in.
_BYTE = (1 << 30) + 512
_FLOCK = "hhqqi0q"  # struct flock of Linux: type, whence, start, length, process

# Guards the one below, and the time between looking there and opening a file: closing a second descriptor of a file would end the
# POSIX locks that SQLite has on it in this process.
_guard = threading.Lock()
_owned: set[Identity] = set()


class FileLock:
    """Locks a history file, made if it is not there, until `close`. Raises UsageError if it is in use or cannot be locked.

    Close it after every SQLite connection to the file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        if fcntl is None:
            raise UsageError(f"cannot keep a history in {path}: this system cannot lock files (no fcntl); use --history memory, or off")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _guard:
                self._descriptor, status = _open_and_lock(path)
                self.identity = _identity(status)
                _owned.add(self.identity)
        except BlockingIOError:
            raise UsageError(f"the history in {path} is in use by another server") from None
        except OSError as error:
            raise UsageError(f"cannot keep a history in {path}: {error.strerror}") from None
        if status.st_nlink > 1:
            self.close()
            raise UsageError(
                f"the history in {path} has {status.st_nlink} names (hard links), and what was written last is found by one of them only: "
                "remove the others, or make copies"
            )

    def close(self) -> None:
        """Unlock the file, if it is locked still."""
        with _guard:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)
                _owned.discard(self.identity)


def identity_of(path: Path) -> Identity | None:
    """Return what tells a file from any other, whatever its name; None if there is none."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _open_and_lock(path: Path) -> tuple[int, os.stat_result]:
    """Return a locked descriptor, and the status of the file. With the guard held.

    Raises BlockingIOError if another server has the lock, else OSError.
    """
    if identity_of(path) in _owned:
        raise BlockingIOError
    is_of_file = hasattr(fcntl, "F_OFD_SETLK")  # a lock of the descriptor, which lasts whatever other descriptors the process closes
    if not is_of_file:
        path.touch(mode=0o600)
    descriptor = os.open(path if is_of_file else f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if is_of_file:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0))
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor, os.fstat(descriptor) if is_of_file else path.stat()
    except BaseException:
        os.close(descriptor)
        raise
