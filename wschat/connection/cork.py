"""Corks: the writes of a thread that handles the messages of one read are collected and sent together.

A cork is begun when a read brings several messages, and ends before the same thread reads again: then the writes held back are
flushed, so that sixteen pipelined requests cost one write, not sixteen. If that takes long, the writer thread releases the cork
early (see `writer`), so no write is held back for more than a few milliseconds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sized
from typing import Protocol

from wschat.forks import call_in_child


class Flushable(Protocol):
    """An outbox or a hub: something that holds writes back while its thread is corked."""

    def flush(self) -> None:
        """Write what was held back, if anything. Never waits. May be called from any thread."""


class ReleaseScheduler(Protocol):
    """The writer, which releases corks early."""

    def schedule_release(self, cork: Cork) -> bool:
        """Release the cork early within a few milliseconds. Return False if that cannot be."""


class Cork:
    """The cork of one connection, used by the thread that receives on it for one read after the other.

    It has no lock. `add` appends to `_held_back` before it looks at `_is_scheduled`, and only the thread that is about to flush an
    entry removes it; so nothing is lost even if one thread begins the cork while another is still handling messages.
    """

    __slots__ = ("_held_back", "_is_scheduled", "_scheduler", "_unhandled", "_was_released_early")

    def __init__(self, scheduler: ReleaseScheduler, unhandled: Sized) -> None:
        self._scheduler = scheduler
        self._unhandled = unhandled  # the received messages that the thread has not taken yet
        self._held_back: deque[Flushable] = deque()
        self._is_scheduled = False
        self._was_released_early = False

    def begin(self) -> None:
        """Hold back the calling thread's writes until `uncork`."""
        self._was_released_early = False
        current.cork = self

    def add(self, flushable: Flushable) -> bool:
        """Flush this when the cork is released. Return False if the caller has to flush it.

        It returns False once the cork was released early and no messages are left: its thread has turned to something else.
        """
        if self._was_released_early and not self._unhandled:
            return False
        self._held_back.append(flushable)
        if not self._is_scheduled:
            self._is_scheduled = True  # first, because from here on the cork may be released early at any time
            if not self._scheduler.schedule_release(self):
                self._is_scheduled = False
                return False
        return True

    def release(self) -> None:
        """Flush everything that was added."""
        held_back = self._held_back
        while held_back:
            try:
                flushable = held_back.popleft()
            except IndexError:
                break  # another thread has released the cork at the same time
            flushable.flush()

    def release_early(self) -> None:
        """Flush everything that was added because its thread takes long. The next `add` schedules another release."""
        self._is_scheduled = False
        self._was_released_early = True
        self.release()


class _Current(threading.local):
    cork: Cork | None = None


current = _Current()
"""`current.cork` is the cork of the calling thread, or None."""


def _forget_cork() -> None:
    """In a forked child: the cork is that of a connection of the parent."""
    current.cork = None


call_in_child(_forget_cork)


def uncork() -> None:
    """Flush what the calling thread's cork has held back, and end the cork."""
    cork = current.cork
    if cork is not None:
        current.cork = None
        cork.release()
