"""The threads of the connections, one for each, and a spare thread that is started in advance.

Starting a thread takes as long as an opening handshake. The spare is started while the client that has just been answered
prepares its next message, so that the next connection need not wait for a thread.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")


class ConnectionThreads(Generic[Task]):
    """Calls `work` with each task in a thread of its own. Thread-safe; no method waits for longer than a thread takes to start."""

    def __init__(self, work: Callable[[Task], None]) -> None:
        self._work = work
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()  # for the spare thread; None ends it
        self._spare_lock = threading.Lock()  # guards all attributes below; no other lock is taken while it is held
        self._has_spare = False
        self._is_closed = False

    def run(self, task: Task) -> None:
        """Run a task in the spare thread or in a new one. Raises RuntimeError if no thread can be started."""
        with self._spare_lock:
            has_spare, self._has_spare = self._has_spare, False
        if has_spare:
            self._tasks.put(task)
        else:
            _start(lambda: self._run_task(task))

    def start_spare(self) -> None:
        """Start the spare thread if there is none. Does nothing if no thread can be started."""
        with self._spare_lock:
            if self._has_spare or self._is_closed:
                return
            try:
                _start(self._wait_and_run)
            except RuntimeError:
                return  # `run` tries again, and raises
            self._has_spare = True

    def close(self) -> None:
        """End the spare thread. Tasks that run are not affected."""
        with self._spare_lock:
            has_spare, self._has_spare = self._has_spare, False
            self._is_closed = True
        if has_spare:
            self._tasks.put(None)

    def _wait_and_run(self) -> None:
        task = self._tasks.get()
        if task is not None:
            self._run_task(task)

    def _run_task(self, task: Task) -> None:
        trace = threading.gettrace()
        if trace is not None:  # as threading.Thread does, for debuggers and coverage tools
            sys.settrace(trace)
        self._work(task)  # a call of its own, because a trace function sees only calls made after it was set


def _start(function: Callable[[], None]) -> None:
    # Not a threading.Thread: its start() waits until the thread runs, which halves the rate of openings.
    _thread.start_new_thread(function, ())
