"""The growth of memory, which tells a leak from what is allocated once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.trend import Amount, Growth, Sample, Sampler, Trend, rows
from tests.concurrency import eventually


def samples(kilobytes_per_message: float = 0, kilobytes_per_fault: float = 0) -> list[Sample]:
    """Return the samples of ten minutes, 30 messages a second and two faults a minute. Memory is allocated once in the first four."""
    made = []
    for number in range(301):
        messages, faults, once = 60 * number, number // 15, 5000 * min(1, number / 120)
        kept = kilobytes_per_message * messages + kilobytes_per_fault * faults
        noise = 37 * number % 100
        made.append(Sample(2.0 * number, messages, faults, int(20_000 + once + kept + noise), int(100_000 + 20 * kept + noise)))
    return made


def test_what_is_allocated_once_is_no_growth() -> None:
    trend = Trend(samples())
    assert abs(trend.per_thousand_messages.amount.kilobytes) < 2
    assert abs(trend.per_fault.amount.kilobytes) < 2


def test_growth_is_found_by_messages_and_by_faults() -> None:
    assert Trend(samples(kilobytes_per_message=0.2)).per_thousand_messages.amount == pytest.approx((200, 4000), rel=0.05)
    assert Trend(samples(kilobytes_per_fault=50)).per_fault.amount == pytest.approx((50, 1000), rel=0.05)


def test_growth_within_bounds() -> None:
    most = Amount(kilobytes=50, blocks=100)
    assert Growth(Amount(50, 100), 1000).is_within(most)
    assert not Growth(Amount(51, 100), 1000).is_within(most)
    assert not Growth(Amount(50, 101), 1000).is_within(most)
    assert Growth(Amount(500, 1000), 2).is_within(most)  # in all not more than varies by chance
    assert not Growth(Amount(500, 1000), 3).is_within(most)


def test_two_samples_are_no_trend() -> None:
    with pytest.raises(ValueError, match="too few"):
        Trend(samples()[:2])


def test_the_table_has_a_row_for_each_minute() -> None:
    table = rows(samples())
    assert table[0].split() == ["minute", "messages", "faults", "MB", "blocks"]
    assert table[1].split()[:3] == ["1", "1,740", "1"]
    assert len(table) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_a_process_keeps_is_in_its_samples(tmp_path: Path) -> None:
    kept: list[object] = []
    path = tmp_path / "samples"
    with Sampler(path, lambda: len(kept), lambda: 0).running(0.01):
        eventually(lambda: path.exists() and path.read_text())
        kept += [b"x" * 80_000_000, *(object() for _ in range(59_999))]  # so large that it is not put where memory was freed
        size = path.stat().st_size
        eventually(lambda: path.stat().st_size > size + 100)
    first, *_, last = Sampler(path, lambda: 0, lambda: 0).read()
    assert (first.messages, last.messages) == (0, 60_000)
    assert last.kilobytes - first.kilobytes > 30_000
    assert last.blocks - first.blocks > 15_000
    assert last.seconds > first.seconds
