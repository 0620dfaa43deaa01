"""The threads that run handlers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.concurrency import TIMEOUT, eventually
from wschat.client.bot.workers import Workers

WorkersFactory = Callable[..., Workers]


@pytest.fixture
def make() -> Iterator[WorkersFactory]:
    with ExitStack() as stack:

        def start(threads: int = 2, max_pending: int = 1000) -> Workers:
            workers = Workers(threads, max_pending)
            workers.start()
            stack.callback(workers.stop, TIMEOUT)
            return workers

        yield start


class Gate:
    """A job that waits until it is opened."""

    def __init__(self) -> None:
        self._began, self._opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._began.set()
        assert self._opened.wait(TIMEOUT)

    def until_running(self) -> None:
        assert self._began.wait(TIMEOUT)

    def open(self) -> None:
        self._opened.set()


def test_jobs_with_one_key_run_in_order_and_one_at_a_time(make: WorkersFactory) -> None:
    workers = make(threads=4)
    done: list[int] = []
    running: list[int] = []

    def job(number: int) -> None:
        running.append(number)
        assert running == [number]
        done.append(number)
        running.remove(number)

    for number in range(90):
        assert workers.submit("alice", partial(job, number))
    assert workers.stop(TIMEOUT) == 0
    assert done == list(range(90))


def test_a_slow_job_does_not_delay_those_with_other_keys(make: WorkersFactory) -> None:
    workers = make(threads=2)
    gate, done = Gate(), threading.Event()
    workers.submit("alice", gate)
    gate.until_running()
    for _ in range(50):
        workers.submit("alice", lambda: None)
    workers.submit("bob", done.set)
    assert done.wait(TIMEOUT)
    assert workers.is_busy("alice")
    eventually(lambda: not workers.is_busy("bob"))
    gate.open()


def test_keys_take_turns(make: WorkersFactory) -> None:
    workers = make(threads=1)
    gate = Gate()
    order: list[str] = []
    workers.submit("first", gate)
    gate.until_running()
    for key in ("alice", "alice", "bob"):
        workers.submit(key, partial(order.append, key))
    gate.open()
    assert workers.stop(TIMEOUT) == 0
    assert order == ["alice", "bob", "alice"]


def test_a_full_queue_takes_no_more(make: WorkersFactory) -> None:
    workers = make(threads=1, max_pending=3)
    gate = Gate()
    assert workers.submit("a", gate)
    assert workers.submit("b", gate)
    assert workers.submit("c", gate)
    assert not workers.submit("d", gate)
    gate.open()
    eventually(lambda: not workers.is_busy("c"))
    assert workers.submit("d", gate)


def test_one_key_cannot_fill_the_queue(make: WorkersFactory) -> None:
    workers = make(threads=1)
    gate = Gate()
    workers.submit("alice", gate)
    gate.until_running()
    assert [workers.submit("alice", gate) for _ in range(101)] == [True] * 100 + [False]
    assert workers.submit("bob", gate)
    gate.open()


def test_a_job_that_fails_leaves_the_thread_alive(make: WorkersFactory, caplog: pytest.LogCaptureFixture) -> None:
    workers = make(threads=1)

    def leave() -> None:
        raise SystemExit(3)

    workers.submit("a", leave)
    done = threading.Event()
    workers.submit("a", done.set)
    assert done.wait(TIMEOUT)
    assert "a job of the bot failed" in caplog.text


def test_stopping_waits_for_what_was_accepted(make: WorkersFactory) -> None:
    workers = make(threads=1)
    done: list[int] = []
    for number in range(20):
        workers.submit(number, partial(done.append, number))
    assert workers.stop(TIMEOUT) == 0
    assert done == list(range(20))
    assert not workers.submit("late", lambda: None)
    assert workers.stop(0) == 0


def test_stopping_gives_up_in_time_and_drops_what_waits(make: WorkersFactory) -> None:
    workers = make(threads=1)
    gate = Gate()
    done = threading.Event()
    workers.submit("a", gate)
    gate.until_running()
    workers.submit("a", done.set)
    workers.submit("b", done.set)
    assert workers.stop(0.01) == 3
    gate.open()
    eventually(lambda: not workers.is_busy("nobody") and not any(thread.is_alive() for thread in workers._threads))
    assert not done.is_set()
