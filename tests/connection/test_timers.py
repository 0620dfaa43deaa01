"""Timers: in order, in time, and none harms another."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from tests.connection.wiring import PATIENCE, eventually
from wschat.connection.timers import Timers


@pytest.fixture
def timers() -> Iterator[Timers]:
    queue = Timers()
    queue.start()
    yield queue
    queue.stop()


def test_they_are_kept_in_the_order_of_their_times(timers: Timers) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    timers.call_later(0.3, is_last_done.set)
    for name, seconds in (("c", 0.2), ("a", 0.05), ("b", 0.1)):
        timers.call_later(seconds, lambda name=name: done.append(name))  # type: ignore[misc]
    assert is_last_done.wait(PATIENCE)
    assert done == ["a", "b", "c"]


def test_those_of_one_time_are_kept_in_the_order_of_their_making(timers: Timers) -> None:
    done: list[int] = []
    is_last_done = threading.Event()
    for number in range(100):
        timers.call_later(0, lambda number=number: done.append(number))  # type: ignore[misc]
    timers.call_later(0.01, is_last_done.set)
    assert is_last_done.wait(PATIENCE)
    assert done == list(range(100))


def test_a_cancelled_one_is_not_kept(timers: Timers) -> None:
    done: list[str] = []
    may_go_on, is_last_done = threading.Event(), threading.Event()

    def hold() -> None:
        may_go_on.wait(PATIENCE)

    timers.call_later(0, hold)
    first = timers.call_later(0, lambda: done.append("cancelled"))
    timers.call_later(0, is_last_done.set)
    assert not first.is_cancelled()
    first.cancel()
    first.cancel()
    assert first.is_cancelled()
    may_go_on.set()
    assert is_last_done.wait(PATIENCE)
    assert done == []
    first.fire()
    assert done == []


def test_one_that_is_cancelled_by_another_of_the_same_time_is_not_kept(timers: Timers) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    timers.call_later(0.1, lambda: second.cancel())
    second = timers.call_later(0.101, lambda: done.append("cancelled"))
    timers.call_later(0.2, is_last_done.set)
    assert is_last_done.wait(PATIENCE)
    assert done == []


def test_one_that_is_further_away_than_can_be_waited_for_harms_no_other(timers: Timers) -> None:
    is_done = threading.Event()
    timers.call_later(1e15, is_done.clear)
    timers.call_later(0.01, is_done.set)
    assert is_done.wait(PATIENCE)
    is_done.clear()
    timers.call_later(0.01, is_done.set)
    assert is_done.wait(PATIENCE)


def test_one_that_fails_is_logged_and_the_others_are_kept(timers: Timers, caplog: pytest.LogCaptureFixture) -> None:
    is_done = threading.Event()

    def fail() -> None:
        raise KeyError("mine")

    with caplog.at_level(logging.ERROR, "wschat.connection"):
        timers.call_later(0, fail)
        timers.call_later(0, is_done.set)
        assert is_done.wait(PATIENCE)
    assert [record.message for record in caplog.records] == ["a timer failed"]
    assert "KeyError: 'mine'" in caplog.text


def test_one_may_make_the_next(timers: Timers) -> None:
    is_done = threading.Event()
    times = 0

    def again() -> None:
        nonlocal times
        times += 1
        if times == 5:
            is_done.set()
        else:
            timers.call_later(0, again)

    timers.call_later(0, again)
    assert is_done.wait(PATIENCE)


def test_an_earlier_one_is_not_kept_waiting_by_a_later(timers: Timers) -> None:
    timers.call_later(3600, lambda: None)
    is_done = threading.Event()
    timers.call_later(0, is_done.set)
    assert is_done.wait(PATIENCE)


def test_stop_ends_the_thread_whatever_is_left() -> None:
    timers = Timers()
    timers.stop()  # before there is a thread
    timers.start()  # which comes too late
    timers = Timers()
    timers.start()
    timers.start()  # twice does no harm
    done: list[str] = []
    timers.call_later(3600, lambda: done.append("too early"))
    timers.stop()
    timers.call_later(0, lambda: done.append("too late"))
    timers.stop()
    assert not any(thread.name == "wschat-timers" for thread in threading.enumerate())
    assert done == []


def test_stop_may_be_called_by_a_deadline() -> None:
    timers = Timers()
    timers.start()
    has_stopped = threading.Event()

    def stop() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(has_stopped.set)
            timers.stop()

    timers.call_later(0, stop)
    assert has_stopped.wait(PATIENCE)


def test_those_that_are_cancelled_do_not_stay_until_their_time(timers: Timers) -> None:
    live = [timers.call_later(3600, lambda: None) for _ in range(100)]
    cancelled = [timers.call_later(3600, lambda: None) for _ in range(2000)]
    for timer in cancelled:
        timer.cancel()
        timer.cancel()  # which counts once
    eventually(lambda: len(timers) < 500)
    assert len(timers) >= 100
    is_done = threading.Event()
    timers.call_later(0, is_done.set)
    assert is_done.wait(PATIENCE)
    assert not any(timer.is_cancelled() for timer in live)


def test_many_threads_may_ask_at_once_and_each_is_kept_once(timers: Timers) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda: [timers.call_later(0, lambda: done.append(1)) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(done) == 4000)
