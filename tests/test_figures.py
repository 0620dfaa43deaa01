"""The figures: counted right from any thread, and with reasons of which there are only so many."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from wschat.figures import FAN_OUT_BOUNDS, OTHER, Tally, quantile


def test_nothing_has_been_counted_in_the_beginning() -> None:
    figures = Tally().read()
    assert (figures.messages, figures.deliveries, figures.opened, figures.closed, figures.fan_out_seconds) == (0, 0, 0, 0, 0.0)
    assert not figures.evictions
    assert not figures.refusals
    assert figures.fan_outs == [0] * (len(FAN_OUT_BOUNDS) + 1)


def test_what_is_counted_by_many_threads_is_counted_once() -> None:
    tally = Tally()

    def count(_: int) -> None:
        for _ in range(1000):
            tally.count_messages(2)
            tally.count_fan_out(30, (0.001, 0.002))
            tally.count_opened()
            tally.count_closed()
            tally.count_eviction("too old")
            tally.count_refusal("404")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    figures = tally.read()
    assert (figures.messages, figures.deliveries, figures.opened, figures.closed) == (16_000, 240_000, 8000, 8000)
    assert sum(figures.fan_outs) == 16_000
    assert figures.fan_out_seconds == pytest.approx(24.0)
    assert (figures.evictions, figures.refusals) == ({"too old": 8000}, {"404": 8000})


def test_what_was_read_does_not_change_any_more() -> None:
    tally = Tally()
    before = tally.read()
    tally.count_fan_out(1, [1.0])
    tally.count_refusal("404")
    assert before == Tally().read()
    assert tally.read() != before


def test_reasons_that_are_not_known_are_one() -> None:
    tally = Tally()
    for number in range(1000):
        tally.count_refusal(f"reason {number}")
    tally.count_refusal("too many connections")
    tally.count_refusal("999")
    assert tally.read().refusals == {OTHER: 1001, "too many connections": 1}


@pytest.mark.parametrize("seconds", [0.0, 0.00001, 0.000011, 0.0123, 1.0, FAN_OUT_BOUNDS[-1], 11.0, 1000.0])
def test_a_bucket_has_what_took_no_longer_than_its_bound(seconds: float) -> None:
    tally = Tally()
    tally.count_fan_out(1, [seconds])
    bucket = tally.read().fan_outs.index(1)
    bounds = [-1.0, *FAN_OUT_BOUNDS, math.inf]
    assert bounds[bucket] < seconds <= bounds[bucket + 1]


def test_quantiles_are_as_exact_as_the_buckets() -> None:
    tally = Tally()
    tally.count_fan_out(1000, [number / 1000 for number in range(1, 1001)])  # 1 ms to 1 s, evenly
    counts = tally.read().fan_outs
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
