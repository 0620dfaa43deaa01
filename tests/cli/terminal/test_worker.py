"""The thread that carries out requests."""

from __future__ import annotations

import threading
from functools import partial

from tests.concurrency import TIMEOUT
from wschat.cli.terminal.worker import Worker


def test_tasks_are_run_in_order_to_the_last() -> None:
    done: list[int] = []
    worker = Worker(lambda error: None)
    worker.start()
    for number in range(5):
        assert worker.submit(partial(done.append, number))
    assert worker.finish(TIMEOUT)
    assert done == [0, 1, 2, 3, 4]


def test_too_many_tasks_are_refused() -> None:
    has_begun, may_end = threading.Event(), threading.Event()
    done: list[int] = []
    worker = Worker(lambda error: None, max_tasks=1)
    worker.start()

    def wait() -> None:
        has_begun.set()
        may_end.wait(TIMEOUT)

    worker.submit(wait)
    assert has_begun.wait(TIMEOUT)
    assert worker.submit(partial(done.append, 1))
    assert not worker.submit(partial(done.append, 2))
    assert not worker.finish(0)
    may_end.set()
    assert worker.finish(TIMEOUT)
    assert done == [1]


def test_an_error_is_handed_over_and_does_not_end_the_thread() -> None:
    errors: list[Exception] = []
    done: list[int] = []
    worker = Worker(errors.append)
    worker.start()
    worker.submit(lambda: 1 // 0)
    worker.submit(partial(done.append, 1))
    assert worker.finish(TIMEOUT)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert done == [1]
