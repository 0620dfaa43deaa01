"""A thread that carries out what the user asks for, so that the screen never waits for the network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Task = Callable[[], None]
"""A function without arguments, which may wait."""

MAX_TASKS = 100


class Worker:
    """Carries out tasks one after another in a thread of its own. Tasks must not raise."""

    def __init__(self, max_tasks: int = MAX_TASKS) -> None:
        self._tasks: queue.Queue[Task | None] = queue.Queue(max_tasks)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wschat-requests", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, task: Task) -> bool:
        """Have a task carried out. Never waits. Return False if too many are waiting."""
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            return False
        return True

    def stop(self, timeout: float) -> None:
        """End the thread after the task that it is at, and wait for it for `timeout` seconds. Tasks that wait are dropped."""
        self._is_stopped.set()
        try:
            self._tasks.put_nowait(None)
        except queue.Full:
            pass  # it looks after the next task
        self._thread.join(timeout)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._is_stopped.is_set():
            task()
