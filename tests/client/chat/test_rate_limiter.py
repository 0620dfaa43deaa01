"""The rate at which a client sends, without waiting."""

from __future__ import annotations

import math

import pytest

from wschat.client.chat.rate_limiter import RateLimiter
from wschat.limits import MAX_SECONDS


def sent_at_once(limiter: RateLimiter, now: float) -> int:
    """Return how many requests may be sent now, at most 1,000."""
    count = 0
    while count < 1000 and limiter.acquire(now) == 0:
        count += 1
    return count


def test_a_burst_and_then_the_rate_are_below_those_of_the_server() -> None:
    limiter = RateLimiter({"requests": 10, "seconds": 1}, 100.0)
    assert sent_at_once(limiter, 100.0) == 25
    delay = limiter.acquire(100.0)
    assert 0.1 < delay < 0.12
    assert limiter.acquire(100.0 + delay + 1e-6) == 0
    assert sent_at_once(limiter, 110.0) == 25


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"requests": 0, "seconds": 0},
        {"requests": "many", "seconds": None},
        {"requests": math.nan, "seconds": math.nan},
        {"requests": 10**400, "seconds": 10**400},
        {"requests": 1e-320, "seconds": 1e308},
    ],
)
def test_without_limits_any_number_of_requests_is_sent(limits: dict[str, object]) -> None:
    assert sent_at_once(RateLimiter(limits, 0.0), 0.0) == 1000


def test_after_a_block_one_request_is_sent() -> None:
    limiter = RateLimiter({"requests": 10, "seconds": 1}, 0.0)
    limiter.block(0.0, 2.5)
    assert limiter.acquire(1.0) == 1.5
    assert sent_at_once(limiter, 2.5) == 1


@pytest.mark.parametrize(("seconds", "delay"), [(math.nan, 0), (-5, 0), (math.inf, MAX_SECONDS), (10**400, MAX_SECONDS)])
def test_no_number_of_a_server_makes_a_delay_that_cannot_be_waited_for(seconds: float, delay: float) -> None:
    limiter = RateLimiter({"requests": 1, "seconds": MAX_SECONDS}, 0.0)
    limiter.block(0.0, seconds)
    assert limiter.acquire(0.0) == delay
    limiter.acquire(delay)
    assert limiter.acquire(delay) == MAX_SECONDS
