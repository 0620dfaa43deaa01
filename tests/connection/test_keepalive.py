"""Deadlines: in order, in time, and none harms another."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from tests.connection.wiring import PATIENCE, eventually
from wschat.connection.keepalive import Deadlines


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    queue = Deadlines()
    queue.start()
    yield queue
    queue.stop()


def test_they_are_kept_in_the_order_of_their_times(deadlines: Deadlines) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    deadlines.after(0.3, is_last_done.set)
    for name, seconds in (("c", 0.2), ("a", 0.05), ("b", 0.1)):
        deadlines.after(seconds, lambda name=name: done.append(name))  # type: ignore[misc]
    assert is_last_done.wait(PATIENCE)
    assert done == ["a", "b", "c"]


def test_those_of_one_time_are_kept_in_the_order_of_their_making(deadlines: Deadlines) -> None:
    done: list[int] = []
    is_last_done = threading.Event()
    for number in range(100):
        deadlines.after(0, lambda number=number: done.append(number))  # type: ignore[misc]
    deadlines.after(0.01, is_last_done.set)
    assert is_last_done.wait(PATIENCE)
    assert done == list(range(100))


def test_a_cancelled_one_is_not_kept(deadlines: Deadlines) -> None:
    done: list[str] = []
    may_go_on, is_last_done = threading.Event(), threading.Event()

    def hold() -> None:
        may_go_on.wait(PATIENCE)

    deadlines.after(0, hold)
    first = deadlines.after(0, lambda: done.append("cancelled"))
    deadlines.after(0, is_last_done.set)
    assert not first.is_cancelled()
    first.cancel()
    first.cancel()
    assert first.is_cancelled()
    may_go_on.set()
    assert is_last_done.wait(PATIENCE)
    assert done == []
    first.keep()
    assert done == []


def test_one_that_is_cancelled_by_another_of_the_same_time_is_not_kept(deadlines: Deadlines) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    deadlines.after(0.1, lambda: second.cancel())
    second = deadlines.after(0.101, lambda: done.append("cancelled"))
    deadlines.after(0.2, is_last_done.set)
    assert is_last_done.wait(PATIENCE)
    assert done == []


def test_one_that_is_further_away_than_can_be_waited_for_harms_no_other(deadlines: Deadlines) -> None:
    is_done = threading.Event()
    deadlines.after(1e15, is_done.clear)
    deadlines.after(0.01, is_done.set)
    assert is_done.wait(PATIENCE)
    is_done.clear()
    deadlines.after(0.01, is_done.set)
    assert is_done.wait(PATIENCE)


def test_one_that_fails_is_logged_and_the_others_are_kept(deadlines: Deadlines, caplog: pytest.LogCaptureFixture) -> None:
    is_done = threading.Event()

    def fail() -> None:
        raise KeyError("mine")

    with caplog.at_level(logging.ERROR, "wschat.connection"):
        deadlines.after(0, fail)
        deadlines.after(0, is_done.set)
        assert is_done.wait(PATIENCE)
    assert [record.message for record in caplog.records] == ["a deadline failed"]
    assert "KeyError: 'mine'" in caplog.text


def test_one_may_make_the_next(deadlines: Deadlines) -> None:
    is_done = threading.Event()
    times = 0

    def again() -> None:
        nonlocal times
        times += 1
        if times == 5:
            is_done.set()
        else:
            deadlines.after(0, again)

    deadlines.after(0, again)
    assert is_done.wait(PATIENCE)


def test_an_earlier_one_is_not_kept_waiting_by_a_later(deadlines: Deadlines) -> None:
    deadlines.after(3600, lambda: None)
    is_done = threading.Event()
    deadlines.after(0, is_done.set)
    assert is_done.wait(PATIENCE)


def test_stop_ends_the_thread_whatever_is_left() -> None:
    deadlines = Deadlines()
    deadlines.stop()  # before there is a thread
    deadlines.start()  # which comes too late
    deadlines = Deadlines()
    deadlines.start()
    deadlines.start()  # twice does no harm
    done: list[str] = []
    deadlines.after(3600, lambda: done.append("too early"))
    deadlines.stop()
    deadlines.after(0, lambda: done.append("too late"))
    deadlines.stop()
    assert not any(thread.name == "wschat-deadlines" for thread in threading.enumerate())
    assert done == []


def test_stop_may_be_called_by_a_deadline() -> None:
    deadlines = Deadlines()
    deadlines.start()
    has_stopped = threading.Event()

    def stop() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(has_stopped.set)
            deadlines.stop()

    deadlines.after(0, stop)
    assert has_stopped.wait(PATIENCE)


def test_those_that_are_cancelled_do_not_stay_until_their_time(deadlines: Deadlines) -> None:
    live = [deadlines.after(3600, lambda: None) for _ in range(100)]
    cancelled = [deadlines.after(3600, lambda: None) for _ in range(2000)]
    for deadline in cancelled:
        deadline.cancel()
        deadline.cancel()  # which counts once
    eventually(lambda: len(deadlines) < 500)
    assert len(deadlines) >= 100
    is_done = threading.Event()
    deadlines.after(0, is_done.set)
    assert is_done.wait(PATIENCE)
    assert not any(deadline.is_cancelled() for deadline in live)


def test_many_threads_may_ask_at_once_and_each_is_kept_once(deadlines: Deadlines) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda: [deadlines.after(0, lambda: done.append(1)) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(done) == 4000)
