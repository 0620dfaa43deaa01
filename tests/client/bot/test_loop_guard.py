"""The limit on exchanges of messages between bots, which would never end."""

from __future__ import annotations

import pytest

from tests.chat.wiring import Clock
from wschat.client.bot.loop_guard import QUIET_SECONDS, LoopGuard


def exchanges(guard: LoopGuard, clock: Clock, delay: float, most: int = 1000) -> int:
    """Let a sender send a message at this delay after each answer. Return how many were answered."""
    for number in range(most):
        if not guard.is_admitted("tea", "echo"):
            return number
        guard.count_answer("tea", "echo")
        clock.now += delay
    return most


@pytest.mark.parametrize(("delay", "answered"), [(0.0, 8), (0.9, 8), (1.0, 22), (5.0, 39), (10.0, 1000)])
def test_an_exchange_that_is_quick_or_long_ends(delay: float, answered: int, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    assert exchanges(LoopGuard(20, clock), clock, delay) == answered
    assert [record.getMessage() for record in caplog.records] == (
        ["echo draws too many answers in tea: ignored until it has been quiet for 60 s"] if answered < 1000 else []
    )


def test_an_exchange_continues_only_after_a_pause() -> None:
    clock = Clock()
    guard = LoopGuard(20, clock)
    exchanges(guard, clock, 0)
    for _ in range(10):
        clock.now += QUIET_SECONDS - 1
        assert not guard.is_admitted("tea", "echo")
    clock.now += QUIET_SECONDS
    assert exchanges(guard, clock, 0) > 1


def test_other_senders_and_other_rooms_are_still_answered() -> None:
    clock = Clock()
    guard = LoopGuard(20, clock)
    exchanges(guard, clock, 0)
    assert guard.is_admitted("tea", "alice")
    assert guard.is_admitted("coffee", "echo")


def test_messages_without_an_answer_do_not_count() -> None:
    clock = Clock()
    guard = LoopGuard(20, clock)
    assert all(guard.is_admitted("tea", "alice") for _ in range(1000))


def test_lines_before_the_first_answer_are_no_exchange() -> None:
    clock = Clock()
    guard = LoopGuard(20, clock)
    for _ in range(3):
        assert [guard.is_admitted("tea", "alice") for _ in range(6)] == [True] * 6
        for _ in range(6):
            guard.count_answer("tea", "alice")
        clock.now += 0.5


def test_without_a_limit_all_are_answered() -> None:
    clock = Clock()
    assert exchanges(LoopGuard(0, clock), clock, 0) == 1000


def test_only_a_limited_number_of_senders_is_remembered() -> None:
    guard = LoopGuard(20)
    for number in range(10_100):
        guard.is_admitted("tea", f"guest-{number}")
    assert len(guard._senders) == 10_000
