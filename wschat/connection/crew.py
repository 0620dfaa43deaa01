"""The crew: the two threads that the connections of a process share, and that are there as long as there are any."""

from __future__ import annotations

import os
import threading

from wschat.connection.keepalive import Deadlines
from wschat.connection.writer import Writer


class Crew:
    """One writer and one keeper of deadlines."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.deadlines = Deadlines()
        self.users = 0
        self.forks = 0
        """How often the process was forked since: a connection that was made before has no deadlines in the child."""

    def start(self) -> None:
        """Start the threads that do not run yet. Raises OSError if a descriptor or a thread is missing."""
        self.writer.start()
        self.deadlines.start()

    def is_caller(self) -> bool:
        """Return True if the calling thread is one of the two."""
        return threading.get_ident() in (self.writer.ident, self.deadlines.ident)

    def stop(self) -> None:
        """End both threads, and wait until they have ended."""
        self.writer.stop()
        self.deadlines.stop()

    def forget_all(self) -> None:
        """In a forked child, which has neither thread: begin anew when they are started again."""
        self.forks += 1
        self.writer.forget_all()
        self.deadlines.forget_all()


# Guards the one below and its `users`. The locks under which the threads start are taken while it is held.
_users_of_crew = threading.Lock()
_crew = Crew()


def join_crew() -> Crew:
    """Use the threads; they run, and stay until `leave_crew` has been called as often. From any thread; never waits.

    Raises OSError if they cannot be started, for want of a thread or a descriptor; nothing has changed then.
    """
    with _users_of_crew:
        crew = _crew
        if not crew.users or crew.forks:
            _start(crew)
        crew.users += 1
        return crew


def leave_crew(crew: Crew) -> None:
    """The end of one use. The last one out waits until both threads have ended; none of them ever waits long."""
    global _crew
    with _users_of_crew:
        crew.users -= 1
        if crew.users:
            return
        if crew is _crew:
            _crew = Crew()
    crew.stop()


def _start(crew: Crew) -> None:
    try:
        crew.start()
    except OSError:
        if not crew.users:
            global _crew
            _crew = Crew()
            crew.stop()  # one of them may run
        raise


def _begin_anew() -> None:
    """In a forked child: its parent's threads are not here, and what they had locked stays locked."""
    global _users_of_crew
    _users_of_crew = threading.Lock()
    _crew.forget_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
