"""Calls from other threads that the thread of the screen makes."""

from __future__ import annotations

import threading
import time
from functools import partial

from tests.concurrency import TIMEOUT
from wschat.cli.terminal.call_queue import MAX_SECONDS_AT_ONCE, CallQueue


def test_calls_are_made_in_order_with_one_wake_up() -> None:
    made: list[int] = []
    wake_ups: list[None] = []
    calls = CallQueue()
    calls.open(lambda: wake_ups.append(None))
    for number in range(3):
        assert calls.put(lambda number=number: made.append(number))  # type: ignore[misc]
    assert made == []
    calls.run_all()
    assert made == [0, 1, 2]
    assert len(wake_ups) == 1
    calls.put(lambda: None)
    assert len(wake_ups) == 2


def test_calls_from_before_the_opening_are_kept() -> None:
    calls = CallQueue()
    calls.put(lambda: None)
    wake_ups: list[None] = []
    calls.open(lambda: wake_ups.append(None))
    assert len(wake_ups) == 1


def test_a_thread_waits_while_the_queue_is_full() -> None:
    calls = CallQueue(max_calls=1)
    calls.put(lambda: None)
    added = threading.Event()
    thread = threading.Thread(target=lambda: calls.put(added.set))
    thread.start()
    calls.run_all()
    thread.join(TIMEOUT)
    assert not added.is_set()
    calls.run_all()
    assert added.is_set()


def test_closing_ends_the_wait_of_a_thread() -> None:
    calls = CallQueue(max_calls=1)
    calls.put(lambda: None)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(calls.put(lambda: None)))
    thread.start()
    calls.close()
    thread.join(TIMEOUT)
    assert results == [False]
    assert not calls.put(lambda: None)


def test_the_last_calls_are_made_until_the_queue_is_closed() -> None:
    calls = CallQueue(max_calls=2)
    made: list[int] = []

    def work() -> None:
        for number in range(5):
            calls.put(lambda number=number: made.append(number))  # type: ignore[misc]
        calls.close()

    thread = threading.Thread(target=work)
    thread.start()
    calls.run_to_end(TIMEOUT)
    thread.join(TIMEOUT)
    assert made == [0, 1, 2, 3, 4]


def test_the_wait_for_the_last_calls_ends_after_its_timeout() -> None:
    calls = CallQueue()
    calls.run_to_end(0.01)
    assert not calls.put(lambda: None)


def test_slow_calls_are_made_bit_by_bit() -> None:
    calls = CallQueue()
    made: list[int] = []
    wake_ups: list[None] = []
    calls.open(lambda: wake_ups.append(None))

    def make(number: int) -> None:
        made.append(number)
        time.sleep(MAX_SECONDS_AT_ONCE)

    for number in range(3):
        calls.put(partial(make, number))
    calls.run_all()
    assert made == [0]
    assert len(wake_ups) == 2
    calls.put(partial(make, 3))
    for _ in range(3):
        calls.run_all()
    assert made == [0, 1, 2, 3]
