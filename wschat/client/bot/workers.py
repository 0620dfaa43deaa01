"""The threads that run a bot's handlers."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable

from wschat.daemons import join_daemon, start_daemon

logger = logging.getLogger("wschat.bot")

_MAX_PENDING_PER_KEY = 100  # so that one sender cannot fill the queue for all


class Workers:
    """Threads that run jobs. Jobs with equal keys run one after the other, in order, and others at the same time.

    Any thread may submit; nothing but `stop` waits. `max_pending` is how many jobs may run or wait for a thread, 100 of them with one
    key. `start` raises OSError if a thread cannot be started.
    """

    def __init__(self, threads: int, max_pending: int) -> None:
        self._number = threads
        self._max_pending = max_pending
        self._threads: list[threading.Thread] = []
        # Guards all below. No other lock is taken while it is held.
        self._changed = threading.Condition(threading.Lock())
        self._queues: dict[Hashable, deque[Callable[[], object]]] = {}  # by key, as long as a job runs or waits
        self._ready: deque[Hashable] = deque()  # the keys of which a job waits and none runs
        self._pending = 0
        self._is_stopping = False  # no more jobs are taken
        self._has_ended = False  # and no more are run

    def start(self) -> None:
        """Start the threads. If that raises, `stop` must follow."""
        while len(self._threads) < self._number:
            self._threads.append(start_daemon(self._run, "wschat-handler"))

    def submit(self, key: Hashable, job: Callable[[], object]) -> bool:
        """Run a job soon. Return False, and do not run it, if too many are pending or the threads are stopping."""
        with self._changed:
            queue = self._queues.get(key)
            if self._is_stopping or self._pending >= self._max_pending or (queue is not None and len(queue) >= _MAX_PENDING_PER_KEY):
                return False
            self._pending += 1
            if queue is not None:
                queue.append(job)
            else:
                self._queues[key] = deque([job])
                self._ready.append(key)
                self._changed.notify()
            return True

    def is_busy(self, key: Hashable) -> bool:
        """Return True if a job with this key runs or waits."""
        with self._changed:
            return key in self._queues

    def stop(self, timeout: float) -> int:
        """Take no more jobs, and wait until all have been run, at most so many seconds. Return how many were not finished.

        Those that wait are dropped then. One that runs goes on in its daemon thread, which ends with it.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.wait_for(lambda: not self._pending, timeout)
            unfinished = self._pending
            for queue in self._queues.values():
                self._pending -= len(queue)
                queue.clear()
            self._has_ended = True
            self._changed.notify_all()
        if not unfinished:
            for thread in self._threads:
                join_daemon(thread)
        return unfinished

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            key, job = taken
            try:
                job()
            except BaseException:  # SystemExit as well: it would end this thread, and not the program
                logger.exception("a job of the bot failed")
            self._finish(key)

    def _take(self) -> tuple[Hashable, Callable[[], object]] | None:
        """Wait for a job and return it with its key; None if no more jobs will be run."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._has_ended)
            if self._has_ended:
                return None
            key = self._ready.popleft()
            return key, self._queues[key].popleft()

    def _finish(self, key: Hashable) -> None:
        with self._changed:
            self._pending -= 1
            if self._queues[key]:
                self._ready.append(key)  # behind those of others; this thread takes the next one without being notified
            else:
                del self._queues[key]
            if not self._pending:
                self._changed.notify_all()  # a thread that stops the workers
