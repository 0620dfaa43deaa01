"""The crew: the two threads that the connections of a process share, and that are there as long as there are any."""

from __future__ import annotations

import threading

from wschat.connection.keepalive import Deadlines
from wschat.connection.writer import Writer


class Crew:
    """One writer and one keeper of deadlines."""

    def __init__(self) -> None:
        self.writer = Writer()
        self.deadlines = Deadlines()
        self.users = 0


_users_of_crew = threading.Lock()  # guards the one below and its `users`; nothing else is locked while it is held
_crew = Crew()


def join_crew() -> Crew:
    """Use the threads; they stay until `leave_crew` has been called as often. From any thread; never waits."""
    with _users_of_crew:
        _crew.users += 1
        return _crew


def leave_crew(crew: Crew) -> None:
    """The end of one use. The last one out waits until both threads have ended; none of them ever waits long."""
    global _crew
    with _users_of_crew:
        crew.users -= 1
        if crew.users:
            return
        _crew = Crew()
    crew.writer.stop()
    crew.deadlines.stop()
