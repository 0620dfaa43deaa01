"""What waits for the one thread that writes: messages, which gather while it is busy, and whatever else is to be written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from wschat.brokers.base import Author, Draft
from wschat.errors import HistoryUnavailable

# The most messages that are taken at once: beyond this a transaction only takes longer.
BATCH = 1000
# After a batch of more than a few, the next one is given a moment to gather, unless there is enough of it already: commits and
# writes to members cost the same for many messages as for one, and at ten thousand a second they are nearly all there is to do.
_FEW, _ENOUGH = 4, 100
_SECONDS_TO_GATHER = 0.002
# So many drafts may wait before `put` does.
_MAX_WAITING = 20_000
# For how long it is known whether something can be written, so that many who ask cost no more than one.
_SECONDS_CHECKED = 1.0

Waiting = tuple[Draft, Author]


class Job:
    """Something to be done, and those who wait for it."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._is_done = threading.Event()
        self._error: str | None = None
        self.ended_at: float | None = None

    def run(self) -> None:
        """Do it. Raises what goes wrong, of which those who wait are told."""
        try:
            self._action()
        except BaseException as error:
            self._error = str(error)
            raise
        finally:
            self.ended_at = monotonic()
            self._is_done.set()

    def wait(self) -> None:
        """Wait for the end of it. Raises HistoryUnavailable."""
        self._is_done.wait()
        if self._error is not None:
            raise HistoryUnavailable(f"the history cannot be used: {self._error}")


class Turn(NamedTuple):
    """What is to be done next: first the jobs."""

    jobs: list[Job]
    batch: list[Waiting]


class Work:
    """A queue for one thread, which is put into by any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below; nothing else is locked while it is held
        self._queue: deque[Waiting] = deque()
        self._jobs: deque[Job] = deque()
        self._last_check: Job | None = None
        self._is_busy = False
        self.is_closing = False

    def put(self, draft: Draft, author: Author) -> None:
        """Have a message appended. Waits while far too many are waiting already. Raises HistoryUnavailable after `close`."""
        with self._changed:
            while len(self._queue) >= _MAX_WAITING and not self.is_closing:
                self._changed.wait()
            self._check_open()
            self._queue.append((draft, author))
            if len(self._queue) in (1, _ENOUGH):
                self._changed.notify_all()

    def do(self, action: Callable[[], object]) -> None:
        """Have something done, and wait for it. Raises HistoryUnavailable."""
        with self._changed:
            job = self._begin(action)
        job.wait()

    def check(self, action: Callable[[], object]) -> None:
        """As `do`, but share what came of it with those who ask in the same second."""
        with self._changed:
            last = self._last_check
            if last is None or (last.ended_at is not None and monotonic() - last.ended_at >= _SECONDS_CHECKED):
                last = self._last_check = self._begin(action)
        last.wait()

    def close(self) -> None:
        """Take nothing more. What waits is still done."""
        with self._changed:
            self.is_closing = True
            self._changed.notify_all()

    def next(self, until: float) -> Turn | None:
        """Wait for something to do, and in a busy time a little longer; None at the end.

        At the time `until`, of `monotonic`, there may be nothing to do. For the thread that does it.
        """
        with self._changed:
            while not self._queue and not self._jobs and not self.is_closing and (left := until - monotonic()) > 0:
                self._changed.wait(left)
            if self._is_busy and len(self._queue) < _ENOUGH and not self.is_closing:
                self._changed.wait(_SECONDS_TO_GATHER)
            is_full = len(self._queue) >= _MAX_WAITING
            turn = Turn(list(self._jobs), [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))])
            self._jobs.clear()
            self._is_busy = len(turn.batch) > _FEW
            if is_full:
                self._changed.notify_all()
            return None if self.is_closing and not turn.jobs and not turn.batch else turn

    def _begin(self, action: Callable[[], object]) -> Job:
        self._check_open()
        self._jobs.append(job := Job(action))
        self._changed.notify_all()
        return job

    def _check_open(self) -> None:
        if self.is_closing:
            raise HistoryUnavailable("the history is closed")
