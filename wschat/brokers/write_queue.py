"""The queue of the writer thread: messages, which are taken in batches, and other tasks that write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from wschat.brokers.base import Draft, Publisher
from wschat.errors import HistoryUnavailable

# The most messages in a batch: a longer transaction only delays, it does not cost less.
MAX_BATCH = 1000
# After a batch of more than _SMALL_BATCH messages, the next one is given _GATHER_TIME seconds, unless _FULL_ENOUGH messages are queued.
# A commit, and a write to a member, cost the same for one message and for many. At ten thousand messages a second they are most of all.
_SMALL_BATCH, _FULL_ENOUGH = 4, 100
_GATHER_TIME = 0.002
# With this many messages queued, `put` waits.
_MAX_QUEUED = 20_000
# For this many seconds, callers share the result of a check.
_CHECK_INTERVAL = 1.0


class PendingAppend(NamedTuple):
    """A message to be appended."""

    draft: Draft
    """The message."""
    publisher: Publisher
    """To which the result is reported."""


class Task:
    """An action for the writer thread, for which other threads wait."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._is_done = threading.Event()
        self._error: str | None = None
        self.ended_at: float | None = None
        """When the action ended, by `monotonic`; None before."""

    def run(self) -> None:
        """Run the action. Raises its exception; those who wait get it as HistoryUnavailable."""
        try:
            self._action()
        except BaseException as error:
            self._error = str(error)
            raise
        finally:
            self.ended_at = monotonic()
            self._is_done.set()

    def wait(self) -> None:
        """Wait until the action has ended. Raises HistoryUnavailable if it failed."""
        self._is_done.wait()
        if self._error is not None:
            raise HistoryUnavailable(f"the history cannot be used: {self._error}")


class Work(NamedTuple):
    """What the writer thread has to do next: the tasks, then the messages."""

    tasks: list[Task]
    """In the order in which they were queued."""
    batch: list[PendingAppend]
    """In the order in which they were queued."""


class WriteQueue:
    """A queue with one reader, the writer thread. All methods but `get` may be called from any thread."""

    def __init__(self) -> None:
        # Guards all attributes below; no other lock is acquired while it is held.
        self._changed = threading.Condition(threading.Lock())
        self._messages: deque[PendingAppend] = deque()
        self._tasks: deque[Task] = deque()
        self._last_check: Task | None = None
        self._is_busy = False
        self.is_closed = False
        """True once `close` was called."""

    def put(self, draft: Draft, publisher: Publisher) -> None:
        """Queue a message. Waits while the queue is full. Raises HistoryUnavailable after `close`."""
        with self._changed:
            while len(self._messages) >= _MAX_QUEUED and not self.is_closed:
                self._changed.wait()
            self._check_open()
            self._messages.append(PendingAppend(draft, publisher))
            if len(self._messages) in (1, _FULL_ENOUGH):
                self._changed.notify_all()

    def run(self, action: Callable[[], object]) -> None:
        """Run an action in the writer thread, and wait for its end. Raises HistoryUnavailable if it failed, or after `close`."""
        with self._changed:
            task = self._put_task(action)
        task.wait()

    def run_check(self, action: Callable[[], object]) -> None:
        """Like `run`, but share the result with all who call this within a second."""
        with self._changed:
            check = self._last_check
            if check is None or (check.ended_at is not None and monotonic() - check.ended_at >= _CHECK_INTERVAL):
                check = self._last_check = self._put_task(action)
        check.wait()

    def close(self) -> None:
        """Refuse further messages and tasks. `get` still returns those that are queued."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def get(self, deadline: float) -> Work | None:
        """Remove and return the next work, waiting for some until the deadline, by `monotonic`. Then it may be empty.

        Return None once the queue is closed and empty. Under load, waits a moment longer to return more messages. Only for the
        writer thread.
        """
        with self._changed:
            while not self._messages and not self._tasks and not self.is_closed and (left := deadline - monotonic()) > 0:
                self._changed.wait(left)
            if self._is_busy and len(self._messages) < _FULL_ENOUGH and not self.is_closed:
                self._changed.wait(_GATHER_TIME)
            was_full = len(self._messages) >= _MAX_QUEUED
            work = Work(list(self._tasks), [self._messages.popleft() for _ in range(min(MAX_BATCH, len(self._messages)))])
            self._tasks.clear()
            self._is_busy = len(work.batch) > _SMALL_BATCH
            if was_full:
                self._changed.notify_all()
            return None if self.is_closed and not work.tasks and not work.batch else work

    def _put_task(self, action: Callable[[], object]) -> Task:
        self._check_open()
        self._tasks.append(task := Task(action))
        self._changed.notify_all()
        return task

    def _check_open(self) -> None:
        if self.is_closed:
            raise HistoryUnavailable("the history is closed")
