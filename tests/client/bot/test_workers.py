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


class BlockingJob:
    """A job that waits until `release` is called."""

    def __init__(self) -> None:
        self._began, self._released = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._began.set()
        assert self._released.wait(TIMEOUT)

    def until_running(self) -> None:
        assert self._began.wait(TIMEOUT)

    def release(self) -> None:
        self._released.set()


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
    blocker, done = BlockingJob(), threading.Event()
    workers.submit("alice", blocker)
    blocker.until_running()
    for _ in range(50):
        workers.submit("alice", lambda: None)
    workers.submit("bob", done.set)
    assert done.wait(TIMEOUT)
    assert workers.is_busy("alice")
    eventually(lambda: not workers.is_busy("bob"))
    blocker.release()


def test_keys_take_turns(make: WorkersFactory) -> None:
    workers = make(threads=1)
    blocker = BlockingJob()
    order: list[str] = []
    workers.submit("first", blocker)
    blocker.until_running()
    for key in ("alice", "alice", "bob"):
        workers.submit(key, partial(order.append, key))
    blocker.release()
    assert workers.stop(TIMEOUT) == 0
    assert order == ["alice", "bob", "alice"]


def test_a_full_queue_refuses_jobs_or_waits_for_room(make: WorkersFactory) -> None:
    workers = make(threads=1, max_pending=3)
    blocker = BlockingJob()
    for key in ("a", "b", "c"):
        assert not workers.is_full
        assert workers.submit(key, blocker)
    assert workers.is_full
    assert not workers.submit("d", blocker)
    accepted: list[bool] = []
    submitting = threading.Thread(target=lambda: accepted.append(workers.submit("d", blocker, wait=True)))
    submitting.start()
    blocker.until_running()
    assert not accepted
    blocker.release()
    submitting.join(TIMEOUT)
    assert accepted == [True]


def test_stop_ends_a_wait_for_room(make: WorkersFactory) -> None:
    workers = make(threads=1, max_pending=1)
    blocker = BlockingJob()
    workers.submit("a", blocker)
    accepted: list[bool] = []
    submitting = threading.Thread(target=lambda: accepted.append(workers.submit("b", blocker, wait=True)))
    submitting.start()
    assert workers.stop(0.01) == 1
    submitting.join(TIMEOUT)
    assert accepted == [False]
    blocker.release()


def test_one_key_cannot_fill_the_queue(make: WorkersFactory) -> None:
    workers = make(threads=1, max_pending=100)
    blocker = BlockingJob()
    assert [workers.submit("alice", blocker, wait=True) for _ in range(60)] == [True] * 50 + [False] * 10
    assert [workers.submit("bob", blocker, wait=True) for _ in range(60)].count(True) in (10, 11)  # one of them may not wait in the queue
    assert workers.submit("carol", blocker)
    blocker.release()


def test_a_failing_job_does_not_end_the_thread(make: WorkersFactory, caplog: pytest.LogCaptureFixture) -> None:
    workers = make(threads=1)

    def leave() -> None:
        raise SystemExit(3)

    workers.submit("a", leave)
    done = threading.Event()
    workers.submit("a", done.set)
    assert done.wait(TIMEOUT)
    assert "a job of the bot failed" in caplog.text


def test_stop_waits_for_accepted_jobs(make: WorkersFactory) -> None:
    workers = make(threads=1)
    done: list[int] = []
    for number in range(20):
        workers.submit(number, partial(done.append, number))
    assert workers.stop(TIMEOUT) == 0
    assert done == list(range(20))
    assert not workers.submit("late", lambda: None)
    assert workers.stop(0) == 0


def test_stop_gives_up_after_its_timeout_and_drops_waiting_jobs(make: WorkersFactory) -> None:
    workers = make(threads=1)
    blocker = BlockingJob()
    done = threading.Event()
    workers.submit("a", blocker)
    blocker.until_running()
    workers.submit("a", done.set)
    workers.submit("b", done.set)
    assert workers.stop(0.01) == 3
    blocker.release()
    eventually(lambda: not workers.is_busy("nobody") and not any(thread.is_alive() for thread in workers._threads))
    assert not done.is_set()
