"""A thread that carries out what the user asks for, so that the screen never waits for the network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Task = Callable[[], object]
"""A function without arguments, which may wait."""

MAX_TASKS = 100


class Worker:
    """Carries out tasks one after another in a thread of its own. `on_error` is called there with what a task raises."""

    def __init__(self, on_error: Callable[[Exception], object], max_tasks: int = MAX_TASKS) -> None:
        self._on_error = on_error
        self._max_tasks = max_tasks
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="wschat-requests", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, task: Task) -> bool:
        """Have a task carried out. Never waits. Return False if too many are waiting. For one thread at a time."""
        if self._tasks.qsize() >= self._max_tasks:
            return False
        self._tasks.put(task)
        return True

    def finish(self, timeout: float) -> bool:
        """End the thread after the tasks that are waiting, and wait for it. Return False if that takes more than `timeout` seconds."""
        self._tasks.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception as error:
                self._on_error(error)
