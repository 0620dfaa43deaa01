"""The thread that makes requests."""

from __future__ import annotations

import threading

from tests.concurrency import TIMEOUT
from wschat.cli.terminal.worker import Worker


def test_tasks_run_in_order() -> None:
    done: list[int] = []
    end = threading.Event()
    worker = Worker()
    worker.start()
    for number in range(5):
        worker.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    worker.submit(end.set)
    assert end.wait(TIMEOUT)
    assert done == [0, 1, 2, 3, 4]
    worker.stop(TIMEOUT)


def test_too_many_tasks_are_refused_and_waiting_ones_dropped() -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    done: list[int] = []
    worker = Worker(max_tasks=1)
    worker.start()

    def wait() -> None:
        has_begun.set()
        may_end.wait(TIMEOUT)

    worker.submit(wait)
    assert has_begun.wait(TIMEOUT)
    assert worker.submit(lambda: done.append(1))
    assert not worker.submit(lambda: done.append(2))
    worker.stop(0)
    may_end.set()
    worker.stop(TIMEOUT)
    assert done == []
