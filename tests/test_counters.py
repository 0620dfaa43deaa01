"""The counts: counted right from any thread, and with reasons of which there are only so many."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from wschat.counters import FAN_OUT_BOUNDS, OTHER, Counters, quantile


def test_nothing_has_been_counted_in_the_beginning() -> None:
    counts = Counters().read()
    assert (counts.messages, counts.deliveries, counts.opened, counts.closed, counts.fan_out_seconds) == (0, 0, 0, 0, 0.0)
    assert not counts.evictions
    assert not counts.refusals
    assert counts.fan_outs == [0] * (len(FAN_OUT_BOUNDS) + 1)


def test_what_is_counted_by_many_threads_is_counted_once() -> None:
    counters = Counters()

    def count(_: int) -> None:
        for _ in range(1000):
            counters.count_messages(2)
            counters.count_fan_out(30, (0.001, 0.002))
            counters.count_opened()
            counters.count_closed()
            counters.count_eviction("too old")
            counters.count_refusal("404")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    counts = counters.read()
    assert (counts.messages, counts.deliveries, counts.opened, counts.closed) == (16_000, 240_000, 8000, 8000)
    assert sum(counts.fan_outs) == 16_000
    assert counts.fan_out_seconds == pytest.approx(24.0)
    assert (counts.evictions, counts.refusals) == ({"too old": 8000}, {"404": 8000})


def test_what_was_read_does_not_change_any_more() -> None:
    counters = Counters()
    before = counters.read()
    counters.count_fan_out(1, [1.0])
    counters.count_refusal("404")
    assert before == Counters().read()
    assert counters.read() != before


def test_reasons_that_are_not_known_are_one() -> None:
    counters = Counters()
    for number in range(1000):
        counters.count_refusal(f"reason {number}")
    counters.count_refusal("too many connections")
    counters.count_refusal("999")
    assert counters.read().refusals == {OTHER: 1001, "too many connections": 1}


@pytest.mark.parametrize("seconds", [0.0, 0.00001, 0.000011, 0.0123, 1.0, FAN_OUT_BOUNDS[-1], 11.0, 1000.0])
def test_a_bucket_has_what_took_no_longer_than_its_bound(seconds: float) -> None:
    counters = Counters()
    counters.count_fan_out(1, [seconds])
    bucket = counters.read().fan_outs.index(1)
    bounds = [-1.0, *FAN_OUT_BOUNDS, math.inf]
    assert bounds[bucket] < seconds <= bounds[bucket + 1]


def test_quantiles_are_as_exact_as_the_buckets() -> None:
    counters = Counters()
    counters.count_fan_out(1000, [number / 1000 for number in range(1, 1001)])  # 1 ms to 1 s, evenly
    counts = counters.read().fan_outs
    for share in (0.1, 0.5, 0.9, 0.99):
        seconds = quantile(counts, share)
        assert seconds is not None
        assert share / 2 <= seconds <= share * 2
    assert quantile(counts, 0.5) == pytest.approx(0.5, rel=0.1)


def test_quantiles_of_next_to_nothing() -> None:
    nothing = [0] * (len(FAN_OUT_BOUNDS) + 1)
    assert quantile(nothing, 0.5) is None
    assert quantile([4, *nothing[1:]], 0.5) == pytest.approx(FAN_OUT_BOUNDS[0] / 2)
    assert quantile([*nothing[1:], 1], 0.5) == FAN_OUT_BOUNDS[-1]  # longer than can be told
