"""The threads of the connections: one for each. One more stands by, so that who comes next need not wait until it is made.

To make a thread takes as long as to agree on a WebSocket; a server does it while the client whom it has just answered has to
think of the next thing.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")


class ConnectionThreads(Generic[Task]):
    """Calls `work` with each task, in a thread of its own. Any method may be called from any thread; none waits longer than it takes
    to make a thread.
    """

    def __init__(self, work: Callable[[Task], None]) -> None:
        self._work = work
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()  # of the one that stands by; None ends it
        # Guards all below. Nothing else is locked while it is held.
        self._guard = threading.Lock()
        self._has_stand_by = False
        self._process = 0  # that it is in
        self._is_closed = False

    def run(self, task: Task) -> None:
        """Work on this. Raises RuntimeError if there is no thread to be had."""
        with self._guard:
            # A forked child has none, whatever its parent had.
            has_stand_by = self._has_stand_by and self._process == os.getpid()
            self._has_stand_by = False
        if has_stand_by:
            self._tasks.put(task)
        else:
            _start(lambda: self._work_on(task))

    def stand_by(self) -> None:
        """Have a thread ready for the next task, if there is one to be had."""
        with self._guard:
            if self._has_stand_by or self._is_closed:
                return
            try:
                _start(self._wait_and_work)
            except RuntimeError:
                return  # the next task tries again, and says so
            self._has_stand_by = True
            self._process = os.getpid()

    def close(self) -> None:
        """End the thread that stands by. Those that work are not touched."""
        with self._guard:
            has_stand_by, self._has_stand_by = self._has_stand_by, False
            self._is_closed = True
        if has_stand_by:
            self._tasks.put(None)

    def _wait_and_work(self) -> None:
        task = self._tasks.get()
        if task is not None:
            self._work_on(task)

    def _work_on(self, task: Task) -> None:
        trace = threading.gettrace()
        if trace is not None:  # a debugger or a coverage tool wants to see every thread
            sys.settrace(trace)
        # What is traced is what is called from here on.
        self._work(task)


def _start(work: Callable[[], None]) -> None:
    # Not a threading.Thread: its start waits until the thread has reported back, which halves the rate of openings.
    _thread.start_new_thread(work, ())
