"""The time between two uses of a command by one sender."""

from __future__ import annotations

from tests.chat.wiring import Clock
from wschat.client.bot.cooldown import Cooldown


def test_each_sender_has_a_cooldown_of_its_own() -> None:
    clock = Clock()
    cooldown = Cooldown(5, clock)
    assert cooldown.begin("alice") == 0
    clock.now += 2
    assert cooldown.begin("alice") == 3
    assert cooldown.begin("bob") == 0
    clock.now += 3
    assert cooldown.begin("alice") == 0


def test_a_cooldown_of_0_seconds_is_none() -> None:
    cooldown = Cooldown(0)
    assert [cooldown.begin("alice"), cooldown.begin("alice")] == [0, 0]


def test_a_sender_is_told_once_in_each_cooldown() -> None:
    clock = Clock()
    cooldown = Cooldown(5, clock)
    cooldown.begin("alice")
    assert [cooldown.tell("alice"), cooldown.tell("alice"), cooldown.tell("bob")] == [True, False, True]
    clock.now += 5
    cooldown.begin("alice")
    assert cooldown.tell("alice")


def test_senders_are_removed_when_their_cooldown_has_ended() -> None:
    clock = Clock()
    cooldown = Cooldown(5, clock)
    for number in range(10_000):
        cooldown.begin(f"guest-{number}")
        cooldown.tell(f"guest-{number}")
        clock.now += 0.1
    assert len(cooldown._ends_at) < 1100
    assert len(cooldown._told) < 1100
