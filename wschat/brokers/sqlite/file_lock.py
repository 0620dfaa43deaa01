"""The lock that keeps a second server from opening a database.

On Linux it is an open file description lock on the database itself. It holds for every name of the file, and cannot be deleted. It
covers one byte that SQLite neither writes nor locks, so the two do not conflict, on network file systems either. Other systems, as
macOS, have no lock that is independent of SQLite's; there, a file beside the database is locked.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

from wschat.errors import UsageError
from wschat.forks import call_in_child

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

Identity = tuple[int, int]
"""The device and the inode of a file, which all its names share."""

# SQLite locks 512 bytes from 1 GiB on, and stores no data in their page.
_LOCKED_BYTE = (1 << 30) + 512
_FLOCK = "hhqqi0q"  # struct flock of Linux: type, whence, start, length, process

# Guards _locked, and keeps other threads from opening a file between the look into it and the lock: to close a second descriptor of a
# file would end the POSIX locks that SQLite has on it in this process.
_locked_lock = threading.Lock()
_locked: set[Identity] = set()


class FileLock:
    """Creates a file if it does not exist, and locks it until `close`. Raises UsageError if it is in use or cannot be locked.

    Close it after all SQLite connections to the file. Its methods may be called from any thread.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        if fcntl is None:
            raise UsageError(f"cannot keep a history in {path}: this system cannot lock files (no fcntl); use --history memory or off")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked_lock:
                self._descriptor, status = _open_and_lock(path)
                self.identity = _identity(status)
                _locked.add(self.identity)
        except BlockingIOError:
            raise UsageError(f"the history in {path} is in use by another server") from None
        except OSError as error:
            raise UsageError(f"cannot keep a history in {path}: {error.strerror}") from None
        if status.st_nlink > 1:
            self.close()
            raise UsageError(
                f"the history in {path} has {status.st_nlink} names (hard links), but its write-ahead log is found by one of them only: "
                "remove the others, or make copies"
            )

    def leave_to_parent(self) -> None:
        """Close the descriptor of a forked child, with which it would hold the lock when the parent has ended."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        """Unlock the file. May be called more than once."""
        with _locked_lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)
                _locked.discard(self.identity)


def _forget_locks() -> None:
    """In a forked child: the locks, and the one that may have held `_locked_lock`, are in the parent."""
    global _locked_lock
    _locked_lock = threading.Lock()
    _locked.clear()


call_in_child(_forget_locks)


def identity_of(path: Path) -> Identity | None:
    """Return the identity of a file; None if it does not exist."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _open_and_lock(path: Path) -> tuple[int, os.stat_result]:
    """Return a descriptor that holds the lock, and the status of the file.

    Raises BlockingIOError if the file is locked already, and OSError if it cannot be locked.
    """
    assert _locked_lock.locked()
    if identity_of(path) in _locked:
        raise BlockingIOError
    is_of_file = hasattr(fcntl, "F_OFD_SETLK")  # unlike a POSIX lock, it does not end with another descriptor
    if not is_of_file:
        path.touch(mode=0o600)
    descriptor = os.open(path if is_of_file else f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if is_of_file:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0))
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor, os.fstat(descriptor) if is_of_file else path.stat()
    except BaseException:
        os.close(descriptor)
        raise
