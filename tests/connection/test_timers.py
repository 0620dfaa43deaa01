"""Timers fire in order, on time, and independently of one another."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from tests.concurrency import TIMEOUT, eventually
from wschat.connection.timers import Timers


@pytest.fixture
def timers() -> Iterator[Timers]:
    queue = Timers()
    queue.start()
    yield queue
    queue.stop()


def test_timers_fire_in_the_order_of_their_times(timers: Timers) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    timers.call_later(0.3, is_last_done.set)
    for name, seconds in (("c", 0.2), ("a", 0.05), ("b", 0.1)):
        timers.call_later(seconds, lambda name=name: done.append(name))  # type: ignore[misc]
    assert is_last_done.wait(TIMEOUT)
    assert done == ["a", "b", "c"]


def test_timers_for_the_same_time_fire_in_the_order_of_creation(timers: Timers) -> None:
    done: list[int] = []
    is_last_done = threading.Event()
    for number in range(100):
        timers.call_later(0, lambda number=number: done.append(number))  # type: ignore[misc]
    timers.call_later(0.01, is_last_done.set)
    assert is_last_done.wait(TIMEOUT)
    assert done == list(range(100))


def test_a_cancelled_timer_does_not_fire(timers: Timers) -> None:
    done: list[str] = []
    may_go_on, is_last_done = threading.Event(), threading.Event()

    def hold() -> None:
        may_go_on.wait(TIMEOUT)

    timers.call_later(0, hold)
    first = timers.call_later(0, lambda: done.append("cancelled"))
    timers.call_later(0, is_last_done.set)
    assert not first.is_cancelled()
    first.cancel()
    first.cancel()
    assert first.is_cancelled()
    may_go_on.set()
    assert is_last_done.wait(TIMEOUT)
    assert done == []
    first.fire()
    assert done == []


def test_a_timer_cancelled_by_another_just_before_does_not_fire(timers: Timers) -> None:
    done: list[str] = []
    is_last_done = threading.Event()
    timers.call_later(0.1, lambda: second.cancel())
    second = timers.call_later(0.101, lambda: done.append("cancelled"))
    timers.call_later(0.2, is_last_done.set)
    assert is_last_done.wait(TIMEOUT)
    assert done == []


def test_a_timer_further_away_than_can_be_waited_for_does_not_delay_others(timers: Timers) -> None:
    is_done = threading.Event()
    timers.call_later(1e15, is_done.clear)
    timers.call_later(0.01, is_done.set)
    assert is_done.wait(TIMEOUT)
    is_done.clear()
    timers.call_later(0.01, is_done.set)
    assert is_done.wait(TIMEOUT)


def test_a_failing_timer_is_logged_and_the_others_fire(timers: Timers, caplog: pytest.LogCaptureFixture) -> None:
    is_done = threading.Event()

    def fail() -> None:
        raise KeyError("mine")

    with caplog.at_level(logging.ERROR, "wschat.connection"):
        timers.call_later(0, fail)
        timers.call_later(0, is_done.set)
        assert is_done.wait(TIMEOUT)
    assert [record.message for record in caplog.records] == ["a timer failed"]
    assert "KeyError: 'mine'" in caplog.text


def test_a_timer_can_start_another(timers: Timers) -> None:
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
    assert is_done.wait(TIMEOUT)


def test_an_earlier_timer_does_not_wait_for_a_later_one(timers: Timers) -> None:
    timers.call_later(3600, lambda: None)
    is_done = threading.Event()
    timers.call_later(0, is_done.set)
    assert is_done.wait(TIMEOUT)


def test_stop_ends_the_thread_though_timers_are_left() -> None:
    timers = Timers()
    timers.stop()  # before there is a thread
    timers.start()  # has no effect after `stop`
    timers = Timers()
    timers.start()
    timers.start()  # a second call has no effect
    done: list[str] = []
    timers.call_later(3600, lambda: done.append("too early"))
    timers.stop()
    timers.call_later(0, lambda: done.append("too late"))
    timers.stop()
    assert not any(thread.name == "wschat-timers" for thread in threading.enumerate())
    assert done == []


def test_stop_can_be_called_by_a_timer() -> None:
    timers = Timers()
    timers.start()
    has_stopped = threading.Event()

    def stop() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(has_stopped.set)
            timers.stop()

    timers.call_later(0, stop)
    assert has_stopped.wait(TIMEOUT)


def test_cancelled_timers_are_removed_before_their_time(timers: Timers) -> None:
    live = [timers.call_later(3600, lambda: None) for _ in range(100)]
    cancelled = [timers.call_later(3600, lambda: None) for _ in range(2000)]
    for timer in cancelled:
        timer.cancel()
        timer.cancel()  # counts once
    eventually(lambda: len(timers) < 800)  # up to half of them, and up to 255 more, may be cancelled
    assert len(timers) >= 100
    is_done = threading.Event()
    timers.call_later(0, is_done.set)
    assert is_done.wait(TIMEOUT)
    assert not any(timer.is_cancelled() for timer in live)


def test_timers_started_by_many_threads_each_fire_once(timers: Timers) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda: [timers.call_later(0, lambda: done.append(1)) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(done) == 4000)
