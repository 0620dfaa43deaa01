"""Rates: what is taken, what is not, and when it becomes too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat import UsageError
from wschat.chat import rates
from wschat.chat.rates import Allowance, Rate


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "monotonic", clock)
    return clock


def taken(allowance: Allowance, attempts: int) -> int:
    return sum(allowance.take() for _ in range(attempts))


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    allowance = Allowance(Rate(10, 1))
    assert taken(allowance, 100) == 30
    clock.now += 0.55
    assert taken(allowance, 100) == 5
    clock.now += 2
    assert taken(allowance, 100) == 20
    clock.now += 3600
    assert taken(allowance, 100) == 30


def test_it_is_abused_when_as_much_as_a_burst_was_refused(clock: Clock) -> None:
    allowance = Allowance(Rate(2, 1))
    assert taken(allowance, 6) == 6
    assert taken(allowance, 5) == 0
    assert not allowance.is_abused
    assert taken(allowance, 1) == 0
    assert allowance.is_abused


def test_a_pause_is_a_new_beginning(clock: Clock) -> None:
    allowance = Allowance(Rate(2, 1))
    for _ in range(10):
        assert taken(allowance, 11) == 6
        assert not allowance.is_abused
        clock.now += 3


@given(st.integers(1, 50), st.floats(0.1, 100), st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_the_burst_and_the_rate(messages: int, seconds: float, pauses: list[float]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "monotonic", clock)
        allowance = Allowance(Rate(messages, seconds))
        count = 0
        for pause in pauses:
            clock.now += pause
            count += taken(allowance, 5)
        assert count <= 3 * messages + sum(pauses) * messages / seconds + 1e-6


@pytest.mark.parametrize(("text", "rate"), [("10/1", Rate(10, 1)), ("1/0.5", Rate(1, 0.5)), ("off", None)])
def test_what_a_rate_is(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/", "/1", "0/1", "-1/1", "10/0", "10/-1", "10/inf", "10/nan", "1.5/1", "ten/1", "OFF"])
def test_what_a_rate_is_not(text: str) -> None:
    with pytest.raises(UsageError, match="N/SECONDS"):
        Rate.parse(text)
