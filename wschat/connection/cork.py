"""Turns: what a thread writes while it works off the messages that one read brought leaves together, at the turn's end.

A turn begins when a read brings several messages and ends before the same thread reads again. What it has put off by then
is flushed: sixteen pipelined requests cost one write, not sixteen. A turn that takes long is ended by the writer thread
(see `writer`), so nothing waits for more than a few milliseconds whatever the thread does meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sized
from typing import Protocol


class Outlet(Protocol):
    """Something that holds writes back during a turn."""

    def flush(self) -> None:
        """Write, without waiting, what was held back. May be called from any thread, also when there is nothing."""


class Watcher(Protocol):
    """Who cuts the turns short that take long."""

    def watch_cork(self, cork: Cork) -> bool:
        """Cut it short soon; False if that is not to be had."""


class Cork:
    """The turns of one connection's reader, one after the other.

    There is no lock: an outlet is remembered before anybody looks whether the cork is watched, and forgotten only by
    whoever then flushes it. So nothing is lost even if one thread begins a turn while another is still in the last one.
    """

    __slots__ = ("_is_watched", "_outlets", "_unfinished", "_was_released_early", "_watcher")

    def __init__(self, watcher: Watcher, unfinished: Sized) -> None:
        self._watcher = watcher
        self._unfinished = unfinished  # the messages that the turn has still to deal with
        self._outlets: deque[Outlet] = deque()
        self._is_watched = False
        self._was_released_early = False

    def begin(self) -> None:
        """From here to `uncork` the calling thread's writes may be put off."""
        self._was_released_early = False
        current.cork = self

    def defer(self, outlet: Outlet) -> bool:
        """Have this outlet flushed when the turn ends; False if the outlet has to do it itself.

        So it is once the turn was cut short and has no messages left: its thread has gone on to something else.
        """
        if self._was_released_early and not self._unfinished:
            return False
        self._outlets.append(outlet)
        if not self._is_watched:
            self._is_watched = True  # first, because the watcher may cut the turn short at any time from here
            if not self._watcher.watch_cork(self):
                self._is_watched = False
                return False
        return True

    def release(self) -> None:
        """Write what has been put off."""
        outlets = self._outlets
        while outlets:
            try:
                outlet = outlets.popleft()
            except IndexError:
                break  # two threads are at it
            outlet.flush()

    def release_early(self) -> None:
        """Write what has been put off because the turn takes long. It is not watched any more then, until it puts off more."""
        self._is_watched = False
        self._was_released_early = True
        self.release()


class _Current(threading.local):
    cork: Cork | None = None


current = _Current()
"""`current.cork` is the turn that the calling thread is in, or None."""


def uncork() -> None:
    """Flush what the calling thread has put off."""
    cork = current.cork
    if cork is not None:
        current.cork = None
        cork.release()
