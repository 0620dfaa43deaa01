"""Reservations of names: how long, for whom, and how many."""

from __future__ import annotations

import pytest

from tests.chat.wiring import Clock
from wschat.chat import reservations
from wschat.chat.reservations import SECONDS_RESERVED, Reservations


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reservations, "monotonic", clock)
    return clock


def holder(kept: Reservations, key: str) -> str | None:
    """The secret of the guest for whom a name is kept."""
    reservation = kept.find(key)
    return reservation.secret if reservation else None


def test_a_name_is_kept_for_five_minutes(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    assert SECONDS_RESERVED == 300
    clock.now += 299
    assert holder(kept, "alice") == "hers"
    clock.now += 1
    assert holder(kept, "alice") is None


def test_a_name_is_kept_anew_each_time(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    kept.reserve("bob", "his", "here")
    clock.now += 200
    kept.reserve("alice", "hers", "there")
    clock.now += 200
    assert (holder(kept, "alice"), holder(kept, "bob")) == ("hers", None)


def test_a_name_that_is_taken_up_again_is_not_kept(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    kept.release("alice")
    kept.release("nobody")
    assert holder(kept, "alice") is None


def test_one_place_cannot_have_all_names_kept(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    for number in range(1000):
        kept.reserve(f"n{number}", "theirs", "there")
    assert sum(holder(kept, f"n{number}") is not None for number in range(1000)) == 64
    assert holder(kept, "n999") == "theirs"  # the newest
    assert holder(kept, "alice") == "hers"


def test_all_places_together_take_a_bounded_amount_of_memory(clock: Clock) -> None:
    kept = Reservations()
    for number in range(12_000):
        kept.reserve(f"n{number}", "theirs", f"place {number // 50}")
    assert sum(holder(kept, f"n{number}") is not None for number in range(12_000)) == 10_000
    assert holder(kept, "n11999") == "theirs"


def test_nothing_is_left_of_what_is_over(clock: Clock) -> None:
    kept = Reservations()
    for number in range(100):
        kept.reserve(f"n{number}", "theirs", f"place {number}")
    clock.now += SECONDS_RESERVED
    assert kept.find("any") is None
    assert vars(kept) == vars(Reservations())
