"""The two background threads that all connections of a process share, running as long as there are any: the writer and the timers."""

from __future__ import annotations

import os
import threading

from wschat.connection.timers import Timers
from wschat.connection.writer import Writer


class BackgroundThreads:
    """One writer and one timers thread."""

    def __init__(self) -> None:
        self.writer = Writer()
        """Sends what could not be sent at once."""
        self.timers = Timers()
        """Calls functions at a time."""
        self.users = 0
        """How many connections and servers use the threads."""
        self.forks = 0
        """How often the process was forked since: a connection that was made before has no timers in the child."""

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

    def reset_after_fork(self) -> None:
        """Drop the parent's threads, locks and timers in a forked child. The threads can be started again."""
        self.forks += 1
        self.writer.reset()
        self.timers.reset()


# Guards `_current` and its `users`. The locks under which the threads start are taken while it is held.
_current_lock = threading.Lock()
_current = BackgroundThreads()


def acquire_background_threads() -> BackgroundThreads:
    """Return the running threads, which run until `release_background_threads` was called as often. From any thread; never waits.

    Raises OSError, and changes nothing, if they cannot be started for lack of a thread or a descriptor.
    """
    with _current_lock:
        background = _current
        if not background.users or background.forks:
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
        if not background.users:
            global _current
            _current = BackgroundThreads()
            background.stop()  # one of them may run
        raise


def _reset_after_fork() -> None:
    """In a forked child: drop the parent's threads, and the lock that one of them may have held."""
    global _current_lock
    _current_lock = threading.Lock()
    _current.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
