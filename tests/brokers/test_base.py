"""The records of a broker."""

from __future__ import annotations

from wschat.brokers.base import Retention


def test_the_oldest_number_and_time_that_a_retention_keeps() -> None:
    assert (Retention(messages=10).oldest_seq(5), Retention(messages=10).oldest_seq(10), Retention(messages=10).oldest_seq(11)) == (1, 1, 2)
    assert (Retention(messages=0).oldest_seq(1_000_000), Retention(messages=1).oldest_seq(0)) == (1, 1)
    assert (Retention(days=2).oldest_time(1e9), Retention(days=0).oldest_time(1e9)) == (1e9 - 172_800, 0.0)
