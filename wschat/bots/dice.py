"""A bot that rolls dice: `python -m wschat.bots.dice URL`."""

from __future__ import annotations

import random
import re
from typing import Any

from wschat.bots.command import bot_command
from wschat.client.bot.bot import Bot
from wschat.client.bot.message import Message

_DICE = re.compile(r"(\d{0,4})[dw](\d{1,6}|%)\s*([+-]\s*\d{1,6})?", re.IGNORECASE | re.ASCII)
_MAX_DICE = 100
_MAX_SIDES = 100_000
_MAX_SHOWN = 20
_random = random.SystemRandom()


def throw(dice: str, source: random.Random = _random) -> str:
    """Roll dice and return what they show. Raises ValueError for a text that is not like 2d6+1."""
    match = _DICE.fullmatch(dice.strip())
    if match is None:
        raise ValueError("Dice are like 2d6, d20 or 3d8+2.")
    number, sides = int(match[1] or 1), 100 if match[2] == "%" else int(match[2])
    if not (1 <= number <= _MAX_DICE and 1 <= sides <= _MAX_SIDES):
        raise ValueError(f"I have 1 to {_MAX_DICE} dice with 1 to {_MAX_SIDES:,} sides.")
    plus = int((match[3] or "0").replace(" ", ""))
    shown = [source.randint(1, sides) for _ in range(number)]
    total = str(sum(shown) + plus)
    if number > _MAX_SHOWN or (number == 1 and not plus):
        return total
    return f"{' + '.join(map(str, shown))}{f' {match[3][0]} {abs(plus)}' if plus else ''} = {total}"


def make_bot(url: str, *, source: random.Random = _random, **options: Any) -> Bot:
    """Return the bot. `options` are those of `Bot`."""
    bot = Bot(url, **options)

    @bot.command("roll", help="roll dice, such as 2d6, d20 or 3d8+2")
    def roll(message: Message, dice: str = "1d6") -> None:
        try:
            message.reply(f"{message.sender} rolls {dice}: {throw(dice, source)}")
        except ValueError as error:
            message.reply(error)

    @bot.command("flip", help="flip a coin")
    def flip(message: Message) -> None:
        message.reply(f"{message.sender} flips a coin: {source.choice(['heads', 'tails'])}")

    @bot.command("pick", help='choose one of some words, such as tea coffee "hot chocolate"')
    def pick(message: Message, first: str, second: str, *others: str) -> None:
        message.reply(f"I pick {source.choice([first, second, *others])}.")

    return bot


@bot_command("dice")
def main(**options: Any) -> Bot:
    """Roll dice in the chat at URL: !roll 2d6+1, !flip, !pick tea coffee."""
    return make_bot(**options)


if __name__ == "__main__":
    main()
