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
    """Return the secret of the guest for whom a name is reserved."""
    reservation = kept.find(key)
    return reservation.secret if reservation else None


def test_a_name_is_reserved_for_five_minutes(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    assert SECONDS_RESERVED == 300
    clock.now += 299
    assert holder(kept, "alice") == "hers"
    clock.now += 1
    assert holder(kept, "alice") is None


def test_reserving_a_name_again_begins_a_new_period(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    kept.reserve("bob", "his", "here")
    clock.now += 200
    kept.reserve("alice", "hers", "there")
    clock.now += 200
    assert (holder(kept, "alice"), holder(kept, "bob")) == ("hers", None)


def test_releasing_a_name_ends_its_reservation(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    kept.release("alice")
    kept.release("nobody")
    assert holder(kept, "alice") is None


def test_reservations_are_limited_per_address(clock: Clock) -> None:
    kept = Reservations()
    kept.reserve("alice", "hers", "here")
    for number in range(1000):
        kept.reserve(f"n{number}", "theirs", "there")
    assert sum(holder(kept, f"n{number}") is not None for number in range(1000)) == 64
    assert holder(kept, "n999") == "theirs"  # the newest
    assert holder(kept, "alice") == "hers"


def test_reservations_are_limited_in_total(clock: Clock) -> None:
    kept = Reservations()
    for number in range(12_000):
        kept.reserve(f"n{number}", "theirs", f"place {number // 50}")
    assert sum(holder(kept, f"n{number}") is not None for number in range(12_000)) == 10_000
    assert holder(kept, "n11999") == "theirs"


def test_expired_reservations_are_deleted(clock: Clock) -> None:
    kept = Reservations()
    for number in range(100):
        kept.reserve(f"n{number}", "theirs", f"place {number}")
    clock.now += SECONDS_RESERVED
    assert kept.find("any") is None
    assert vars(kept) == vars(Reservations())
