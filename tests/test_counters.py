"""Counters: exact from any thread, and keyed by a bounded set of reasons."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from wschat.counters import FAN_OUT_BOUNDS, Counters, Eviction, Refusal, by_label, quantile, refusal_of


def test_all_counts_begin_at_zero() -> None:
    counts = Counters().read()
    assert (counts.messages, counts.deliveries, counts.opened, counts.closed, counts.fan_out_seconds) == (0, 0, 0, 0, 0.0)
    assert not counts.evictions
    assert not counts.refusals
    assert counts.fan_outs == [0] * (len(FAN_OUT_BOUNDS) + 1)


def test_counts_from_many_threads_are_exact() -> None:
    counters = Counters()

    def count(_: int) -> None:
        for _ in range(1000):
            counters.count_messages(2)
            counters.count_fan_out(30, (0.001, 0.002))
            counters.count_opened()
            counters.count_closed()
            counters.count_eviction(Eviction.TOO_OLD)
            counters.count_refusal(HTTPStatus.NOT_FOUND)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    counts = counters.read()
    assert (counts.messages, counts.deliveries, counts.opened, counts.closed) == (16_000, 240_000, 8000, 8000)
    assert sum(counts.fan_outs) == 16_000
    assert counts.fan_out_seconds == pytest.approx(24.0)
    assert (counts.evictions, counts.refusals) == ({Eviction.TOO_OLD: 8000}, {HTTPStatus.NOT_FOUND: 8000})


def test_a_copy_of_the_counts_does_not_change() -> None:
    counters = Counters()
    before = counters.read()
    counters.count_fan_out(1, [1.0])
    counters.count_refusal(HTTPStatus.NOT_FOUND)
    assert before == Counters().read()
    assert counters.read() != before


def test_unregistered_statuses_share_one_reason() -> None:
    assert {refusal_of(status) for status in range(600, 1600)} == {Refusal.OTHER}
    assert refusal_of(404) is HTTPStatus.NOT_FOUND


def test_labels_are_words_or_the_number_of_a_status() -> None:
    """Dashboards and alerts are written with these labels: they must not change."""
    assert by_label(dict.fromkeys(Eviction, 1)) == {"outbox full": 1, "too old": 1, "send timeout": 1}
    reasons = [*Refusal, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE]
    labels = ["too many connections", "no thread to be had", "no descriptor is left", "no TLS", "no header of the PROXY protocol"]
    labels += ["other", "404", "503"]
    assert by_label(dict.fromkeys(reasons, 1)) == dict.fromkeys(labels, 1)


@pytest.mark.parametrize("seconds", [0.0, 0.00001, 0.000011, 0.0123, 1.0, FAN_OUT_BOUNDS[-1], 11.0, 1000.0])
def test_a_bucket_holds_times_up_to_its_bound(seconds: float) -> None:
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


def test_quantiles_of_an_empty_histogram_and_of_one_bucket() -> None:
    nothing = [0] * (len(FAN_OUT_BOUNDS) + 1)
    assert quantile(nothing, 0.5) is None
    assert quantile([4, *nothing[1:]], 0.5) == pytest.approx(FAN_OUT_BOUNDS[0] / 2)
    assert quantile([*nothing[1:], 1], 0.5) == FAN_OUT_BOUNDS[-1]  # the last bucket has no upper bound
