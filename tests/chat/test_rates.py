"""Rates: what is allowed, what is refused, and when refusals are abuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.wiring import Clock
from wschat import UsageError
from wschat.chat import rates
from wschat.chat.rates import Allowance, Allowances, Rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "monotonic", clock)
    return clock


def taken(allowance: Allowance, attempts: int) -> int:
    return sum(allowance.try_acquire() for _ in range(attempts))


def test_a_burst_is_allowed_and_then_the_rate(clock: Clock) -> None:
    allowance = Allowance(Rate(10, 1))
    assert taken(allowance, 100) == 30
    clock.now += 0.55
    assert taken(allowance, 100) == 5
    clock.now += 2
    assert taken(allowance, 100) == 20
    clock.now += 3600
    assert taken(allowance, 100) == 30


def test_an_allowance_is_abused_after_a_burst_of_refusals(clock: Clock) -> None:
    allowance = Allowance(Rate(2, 1))
    assert taken(allowance, 6) == 6
    assert taken(allowance, 5) == 0
    assert not allowance.is_abused
    assert taken(allowance, 1) == 0
    assert allowance.is_abused


def test_a_pause_resets_an_allowance(clock: Clock) -> None:
    allowance = Allowance(Rate(2, 1))
    for _ in range(10):
        assert taken(allowance, 11) == 6
        assert not allowance.is_abused
        clock.now += 3


def test_seconds_left_is_the_time_to_wait(clock: Clock) -> None:
    allowance = Allowance(Rate(10, 2))
    assert allowance.seconds_left == 0
    assert taken(allowance, 30) == 30
    assert allowance.seconds_left == pytest.approx(0.2)
    assert not allowance.try_acquire()
    assert allowance.seconds_left == pytest.approx(0.2)
    clock.now += 0.15
    assert not allowance.try_acquire()
    assert allowance.seconds_left == pytest.approx(0.05)
    clock.now += 0.06
    assert allowance.try_acquire()
    assert not allowance.try_acquire()
    clock.now += 3600
    assert allowance.try_acquire()
    assert allowance.seconds_left == 0


@given(st.integers(1, 50), st.floats(0.1, 100), st.lists(st.floats(0, 3), max_size=20))
def test_an_attempt_after_seconds_left_is_not_refused(messages: int, seconds: float, pauses: list[float]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "monotonic", clock)
        allowance = Allowance(Rate(messages, seconds))
        for pause in pauses:
            clock.now += pause
            while allowance.try_acquire():
                pass
            left = allowance.seconds_left
            assert 0 < left <= seconds / messages + 1e-9 * seconds
            early = max(0.0, left - 0.001)
            clock.now += early
            assert not allowance.try_acquire() or not early
            clock.now += left - early + 1e-9 * seconds  # floating point is not exact
            assert allowance.try_acquire()


def test_a_refusal_is_news_once_until_there_is_room_for_a_burst_again(clock: Clock) -> None:
    allowance = Allowance(Rate(10, 1))
    assert taken(allowance, 30) == 30
    assert not allowance.is_news
    assert not allowance.try_acquire()
    assert allowance.is_news
    assert not allowance.try_acquire()
    assert not allowance.is_news
    clock.now += 1  # a few are allowed again, but there was no pause
    assert taken(allowance, 11) == 10
    assert not allowance.is_news
    clock.now += 3
    assert taken(allowance, 30) == 30
    assert not allowance.is_news
    assert not allowance.try_acquire()
    assert allowance.is_news


def test_a_sender_that_is_always_a_little_too_fast_becomes_abusive(clock: Clock) -> None:
    """Refusals are counted until there is a pause, even if others are allowed in between."""
    allowance = Allowance(Rate(2, 1))
    assert taken(allowance, 6) == 6
    for refused in range(1, 7):
        assert not allowance.is_abused
        clock.now += 1
        assert taken(allowance, 3) == 2
        assert allowance.is_news == (refused == 1)
    assert allowance.is_abused


@pytest.mark.parametrize(("rate", "shown"), [(Rate(), "10 in 1 s"), (Rate(5, 0.5), "5 in 0.5 s"), (Rate(100, 60.0), "100 in 60 s")])
def test_the_str_of_a_rate(rate: Rate, shown: str) -> None:
    assert str(rate) == shown


@given(st.integers(1, 50), st.floats(0.1, 100), st.lists(st.floats(0, 10), max_size=200))
def test_an_allowance_never_allows_more_than_the_burst_and_the_rate(messages: int, seconds: float, pauses: list[float]) -> None:
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
def test_valid_rates_are_parsed(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/", "/1", "0/1", "-1/1", "10/0", "10/-1", "10/inf", "10/nan", "1.5/1", "ten/1", "OFF"])
def test_an_invalid_rate_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="N/SECONDS"):
        Rate.parse(text)


def test_each_caller_has_an_allowance_across_requests(clock: Clock) -> None:
    allowances = Allowances(Rate(1, 10))
    assert [allowances.try_acquire("alice") for _ in range(4)] == [None, None, None, pytest.approx(10)]
    assert allowances.try_acquire("bob") is None
    clock.now += 4
    assert allowances.try_acquire("alice") == pytest.approx(6)
    clock.now += 6
    assert allowances.try_acquire("alice") is None
    assert allowances.try_acquire("alice") == pytest.approx(10)


def test_only_idle_callers_are_forgotten(clock: Clock) -> None:
    """Memory is bounded by the number of recent callers, and being forgotten gives a caller no advantage."""
    allowances = Allowances(Rate(1, 10))
    while allowances.try_acquire("busy") is None:
        pass
    for number in range(10_000):
        clock.now += 0.01
        assert allowances.try_acquire(f"caller {number}") is None
        allowances.try_acquire("busy")
    assert len(allowances._allowances) < 3 * 1000 + 1000  # those of the last 10 s, and as many again until the next clean-up
    assert "busy" in allowances._allowances
    granted = sum(allowances.try_acquire("busy") is None for _ in range(100))
    assert granted <= 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=100))
def test_allowances_by_caller_equal_single_allowances(attempts: list[tuple[str, float]]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "monotonic", clock)
        patch.setattr(rates, "_FEW_CALLERS", 2)  # so that some are forgotten
        allowances = Allowances(Rate(1, 2))
        alone: dict[str, Allowance] = {}
        for caller, pause in attempts:
            clock.now += pause
            taken = alone.setdefault(caller, Allowance(Rate(1, 2))).try_acquire()
            assert (allowances.try_acquire(caller) is None) == taken
