"""The pauses between attempts, without waiting."""

from __future__ import annotations

import math
import random

import pytest

from wschat import UsageError
from wschat.client.backoff import Backoff


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


def test_the_pauses_double_up_to_the_limit() -> None:
    backoff = Backoff(60, longest)
    assert [backoff.next_pause() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_pauses_are_short_again_after_a_reset() -> None:
    backoff = Backoff(60, longest)
    for _ in range(5):
        backoff.next_pause()
    backoff.reset()
    assert (backoff.failures, backoff.next_pause()) == (0, 1)


def test_no_pause_is_longer_than_the_limit() -> None:
    backoff = Backoff(0.1, longest)
    assert [backoff.next_pause() for _ in range(3)] == [0.1] * 3


def test_even_the_shortest_pauses_allow_at_most_ten_openings_a_minute() -> None:
    backoff = Backoff(60, shortest)
    pauses = [backoff.next_pause() for _ in range(30)]
    assert all(sum(pauses[start : start + 10]) >= 60 for start in range(20))


def test_the_pauses_of_two_clients_differ() -> None:
    one, other = (Backoff(60, random.Random(seed).uniform) for seed in (1, 2))
    assert [one.next_pause() for _ in range(5)] != [other.next_pause() for _ in range(5)]


def test_pauses_are_finite_after_any_number_of_failures() -> None:
    backoff = Backoff(60)
    backoff.failures = 10**9
    assert 12 <= backoff.next_pause() <= 60
    assert Backoff(math.inf, longest).next_pause() == 1


@pytest.mark.parametrize("max_pause", [0, -1, math.nan])
def test_a_limit_must_be_positive(max_pause: float) -> None:
    with pytest.raises(UsageError, match="max_pause must be more than 0 seconds"):
        Backoff(max_pause)
