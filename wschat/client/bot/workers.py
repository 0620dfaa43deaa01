"""The threads that run a bot's handlers."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable

from wschat.daemons import join_daemon, start_daemon

logger = logging.getLogger("wschat.bot")

# The share of `max_pending` for each key, once the other share of it is in use: one sender cannot fill the queue for all.
_SHARE_OF_KEY, _SHARE_FOR_ALL = 0.1, 0.5


class Workers:
    """Threads that run jobs. Jobs with equal keys run one after the other, in order, and others at the same time.

    Any thread may submit. `max_pending` is how many jobs may run or wait for a thread. Once half of them do, a key may have only a tenth of
    them. `start` raises OSError if a thread cannot be started.
    """

    def __init__(self, threads: int, max_pending: int) -> None:
        self._number = threads
        self._max_pending = max_pending
        self._threads: list[threading.Thread] = []
        self._most_of_key, self._most_for_all = max(1, int(max_pending * _SHARE_OF_KEY)), max_pending * _SHARE_FOR_ALL
        # Guards all below. No other lock is taken while it is held.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # there is a job to run, or no job is left, or no more are run
        self._has_room = threading.Condition(self._lock)  # another job may be submitted
        self._queues: dict[Hashable, deque[Callable[[], object]]] = {}  # by key, as long as a job runs or waits
        self._ready: deque[Hashable] = deque()  # the keys of which a job waits and none runs
        self._pending = 0
        self._is_stopping = False  # no more jobs are taken
        self._has_ended = False  # and no more are run

    def start(self) -> None:
        """Start the threads. If that raises, `stop` must follow."""
        while len(self._threads) < self._number:
            self._threads.append(start_daemon(self._run, "wschat-handler"))

    def submit(self, key: Hashable, job: Callable[[], object], *, wait: bool = False) -> bool:
        """Run a job soon. Return False, and do not run it, if its key has too many, or if the threads are stopping.

        If `max_pending` jobs are pending, wait until one is done; without `wait`, return False then, too.
        """
        with self._lock:
            while not self._is_stopping:
                if self._pending < self._max_pending:
                    return self._add(key, job)
                if not wait:
                    return False
                self._has_room.wait()
            return False

    @property
    def is_stopping(self) -> bool:
        """True once no more jobs are taken."""
        with self._lock:
            return self._is_stopping

    @property
    def is_full(self) -> bool:
        """True if the next job has to wait until another one is done."""
        with self._lock:
            return self._pending >= self._max_pending

    def _add(self, key: Hashable, job: Callable[[], object]) -> bool:
        assert self._lock.locked()
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque([job])
            self._ready.append(key)
            self._changed.notify()
        elif len(queue) >= self._most_of_key and self._pending >= self._most_for_all:
            return False
        else:
            queue.append(job)
        self._pending += 1
        return True

    def is_busy(self, key: Hashable) -> bool:
        """Return True if a job with this key runs or waits."""
        with self._lock:
            return key in self._queues

    def stop(self, timeout: float) -> int:
        """Take no more jobs, and wait until all have been run, at most so many seconds. Return how many were not finished.

        Those that wait are dropped then. One that runs goes on in its daemon thread, which ends with it.
        """
        with self._lock:
            self._is_stopping = True
            self._has_room.notify_all()
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
        with self._lock:
            self._changed.wait_for(lambda: self._ready or self._has_ended)
            if self._has_ended:
                return None
            key = self._ready.popleft()
            return key, self._queues[key].popleft()

    def _finish(self, key: Hashable) -> None:
        with self._lock:
            self._pending -= 1
            self._has_room.notify()
            if self._queues[key]:
                self._ready.append(key)  # behind those of others; this thread takes the next one without being notified
            else:
                del self._queues[key]
            if not self._pending:
                self._changed.notify_all()  # a thread that stops the workers
