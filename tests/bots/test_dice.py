"""The bot that rolls dice."""

from __future__ import annotations

import random
import re

import pytest

from tests.bots.conftest import until_connected
from tests.chat.wiring import Guests
from tests.conftest import url_of
from wschat.bots.dice import make_bot, throw


class Ones(random.Random):
    """A generator for dice that show ones, coins that show heads, and choices of the first item."""

    def randint(self, a: int, b: int) -> int:
        return a

    def choice(self, seq):  # type: ignore[no-untyped-def]
        return seq[0]


@pytest.mark.parametrize(
    ("dice", "shown"),
    [
        ("d6", "1"),
        ("1d6", "1"),
        ("2d6", "1 + 1 = 2"),
        ("2D6+3", "1 + 1 + 3 = 5"),
        ("3w8 - 2", "1 + 1 + 1 - 2 = 1"),
        ("1d20+5", "1 + 5 = 6"),
        ("d%", "1"),
        ("50d6", "50"),
    ],
)
def test_dice_are_rolled_and_added_up(dice: str, shown: str) -> None:
    assert throw(dice, Ones()) == shown


@pytest.mark.parametrize("dice", ["", "6", "2d", "dd6", "2d6+", "-1d6", "1d6+1+1", "٣d6", "12345d6", "1d6\n!roll"])
def test_other_words_are_not_dice(dice: str) -> None:
    with pytest.raises(ValueError, match="Dice are like 2d6, d20 or 3d8"):
        throw(dice)


@pytest.mark.parametrize("dice", ["0d6", "101d6", "1d0", "1d100001"])
def test_impossible_dice_are_an_error(dice: str) -> None:
    with pytest.raises(ValueError, match="I have 1 to 100 dice with 1 to 100,000 sides"):
        throw(dice)


def test_numbers_are_in_range() -> None:
    assert {throw("d3") for _ in range(200)} == {"1", "2", "3"}


def test_the_commands() -> None:
    bot = make_bot("ws://chat", name="dice", source=Ones())
    assert bot.feed("!roll") == ["alice rolls 1d6: 1"]
    assert bot.feed("!roll 2d6 + 1", sender="bob") == ["bob rolls 2d6 + 1: 1 + 1 + 1 = 3"]
    assert bot.feed("!roll cheese") == ["Dice are like 2d6, d20 or 3d8+2."]
    assert bot.feed("!flip") == ["alice flips a coin: heads"]
    assert bot.feed('!pick "hot chocolate" tea') == ["I pick hot chocolate."]
    assert bot.feed("!pick tea") == ["Usage: !pick FIRST SECOND [OTHERS...] (second is missing)"]


def test_in_a_chat(chat: Guests) -> None:
    alice = chat.v1("alice", "tea")
    with make_bot(url_of(chat.server), name="dice", rooms=["tea"]) as bot:
        until_connected(bot)
        alice.say("!roll 2d6")
        assert re.fullmatch(r"alice rolls 2d6: [1-6] \+ [1-6] = \d+", alice.next(lambda event: event.get("from") == "dice")["text"])
