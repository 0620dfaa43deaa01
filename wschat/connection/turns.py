"""Turns: what a thread writes while it works off the messages that one read brought leaves together, at the turn's end.

A turn begins when a read brings several messages and ends before the same thread reads again. What it has put off by then
is flushed: sixteen pipelined requests cost one write, not sixteen. A turn that takes long is ended by the writer thread
(see `writer`), so nothing waits for more than a few milliseconds whatever the thread does meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Sized
from typing import Protocol


class Outlet(Protocol):
    """Something that holds writes back during a turn."""

    def flush(self) -> None:
        """Write, without waiting, what was held back. May be called from any thread, also when there is nothing."""


class Watcher(Protocol):
    """Who ends the turns that take long."""

    def watch_turn(self, turn: Turn) -> bool:
        """End it soon if it has not ended by then; False if that is not to be had."""


class Turn:
    """The turn of one thread: `put_off` is for that thread only, `end` for any."""

    __slots__ = ("_guard", "_outlets", "_unfinished", "_watcher", "has_ended")

    def __init__(self, watcher: Watcher, unfinished: Sized) -> None:
        self.has_ended = False
        self._watcher = watcher
        self._unfinished = unfinished  # the messages that this turn has still to deal with
        self._guard = threading.Lock()  # guards `has_ended` and the outlets; taken after an outbox's lock
        self._outlets: dict[Outlet, None] = {}

    def put_off(self, outlet: Outlet) -> bool:
        """Have this outlet flushed when the turn ends; False if the turn has ended already.

        The outlet has to have the write in its keeping before it asks: then one that is known needs no lock, since whoever
        ends the turn flushes it afterwards.
        """
        if outlet in self._outlets and not self.has_ended:
            return True
        with self._guard:
            if self.has_ended:
                if not self._unfinished:
                    return False
                self.has_ended = False
                self._outlets = {}
            is_first = not self._outlets
            self._outlets[outlet] = None
        return not is_first or self._watcher.watch_turn(self)

    def end(self) -> None:
        """Write what has been put off. With messages left to deal with, the turn begins anew when more is put off."""
        with self._guard:
            self.has_ended = True
            outlets = list(self._outlets)
        for outlet in outlets:
            outlet.flush()


class _Current(threading.local):
    turn: Turn | None = None


current = _Current()
"""`current.turn` is the turn that the calling thread is in, or None."""


def begin_turn(watcher: Watcher, unfinished: Sized) -> None:
    """From here to `end_turn` the calling thread's writes may be put off."""
    current.turn = Turn(watcher, unfinished)


def end_turn() -> None:
    """Flush what the calling thread has put off."""
    turn = current.turn
    if turn is not None:
        current.turn = None
        turn.end()
