"""The background: the two threads that the connections of a process share, and that are there as long as there are any."""

from __future__ import annotations

import os
import threading

from wschat.connection.timers import Timers
from wschat.connection.writer import Writer


class BackgroundThreads:
    """One writer and one keeper of timers."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.timers = Timers()
        self.users = 0
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
        """End both threads, and wait until they have ended."""
        self.writer.stop()
        self.timers.stop()

    def forget_all(self) -> None:
        """In a forked child, which has neither thread: begin anew when they are started again."""
        self.forks += 1
        self.writer.forget_all()
        self.timers.forget_all()


# Guards the one below and its `users`. The locks under which the threads start are taken while it is held.
_lock = threading.Lock()
_current = BackgroundThreads()


def acquire_background_threads() -> BackgroundThreads:
    """Use the threads; they run, and stay until `release_background_threads` has been called as often. From any thread; never waits.

    Raises OSError if they cannot be started, for want of a thread or a descriptor; nothing has changed then.
    """
    with _lock:
        background = _current
        if not background.users or background.forks:
            _start(background)
        background.users += 1
        return background


def release_background_threads(background: BackgroundThreads) -> None:
    """The end of one use. The last one out waits until both threads have ended; none of them ever waits long."""
    global _current
    with _lock:
        background.users -= 1
        if background.users:
            return
        if background is _current:
            _current = BackgroundThreads()
    background.stop()


def _start(background: BackgroundThreads) -> None:
    try:
        background.start()
    except OSError:
        if not background.users:
            global _current
            _current = BackgroundThreads()
            background.stop()  # one of them may run
        raise


def _begin_anew() -> None:
    """In a forked child: its parent's threads are not here, and what they had locked stays locked."""
    global _lock
    _lock = threading.Lock()
    _current.forget_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
