"""The rate at which a client sends, without waiting."""

from __future__ import annotations

import pytest

from wschat.client.chat.rate_limiter import RateLimiter


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


@pytest.mark.parametrize("limits", [{}, {"requests": 0, "seconds": 0}, {"requests": "many", "seconds": None}])
def test_without_limits_any_number_of_requests_is_sent(limits: dict[str, object]) -> None:
    assert sent_at_once(RateLimiter(limits, 0.0), 0.0) == 1000


def test_after_a_block_one_request_is_sent() -> None:
    limiter = RateLimiter({"requests": 10, "seconds": 1}, 0.0)
    limiter.block(0.0, 2.5)
    assert limiter.acquire(1.0) == 1.5
    assert sent_at_once(limiter, 2.5) == 1
