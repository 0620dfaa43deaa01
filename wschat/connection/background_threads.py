"""The two background threads that all connections of a process share, running as long as there are any: the writer and the timers."""

from __future__ import annotations

import threading

from wschat.connection.timers import Timers
from wschat.connection.writer import Writer
from wschat.forks import call_in_child


class BackgroundThreads:
    """One writer and one timers thread."""

    def __init__(self) -> None:
        self.writer = Writer()
        """Sends what could not be sent at once."""
        self.timers = Timers()
        """Calls functions at a time."""
        self.users = 0
        """How many connections and servers use the threads."""

    def start(self) -> None:
        """Start the threads that do not run yet. Raises OSError if a descriptor or a thread is missing."""
        self.writer.start()
        self.timers.start()

    def is_caller(self) -> bool:
        """Return True if the calling thread is one of the two."""
        return threading.get_ident() in (self.writer.ident, self.timers.ident)

    def stop(self) -> None:
        """Stop both threads and wait until they have ended."""
        self.writer.stop()
        self.timers.stop()


# Guards `_current` and its `users`. The locks under which the threads start are taken while it is held.
_current_lock = threading.Lock()
_current = BackgroundThreads()


def acquire_background_threads() -> BackgroundThreads:
    """Return the running threads, which run until `release_background_threads` was called as often. From any thread; never waits.

    Raises OSError, and changes nothing, if they cannot be started for lack of a thread or a descriptor.
    """
    with _current_lock:
        background = _current
        if not background.users:
            _start(background)
        background.users += 1
        return background


def release_background_threads(background: BackgroundThreads) -> None:
    """End one use of the threads. The last user stops them and waits until they have ended, which never takes long."""
    global _current
    with _current_lock:
        background.users -= 1
        if background.users:
            return
        if background is _current:
            _current = BackgroundThreads()
    background.stop()


def _start(background: BackgroundThreads) -> None:
    assert _current_lock.locked()
    try:
        background.start()
    except OSError:
        global _current
        _current = BackgroundThreads()
        background.stop()  # one of them may run
        raise


def _begin_anew() -> None:
    """In a forked child: the threads, and the one that may have held the lock, are in the parent."""
    global _current, _current_lock
    _current_lock = threading.Lock()
    _current = BackgroundThreads()


call_in_child(_begin_anew)
