"""Benchmarks of the chat server: `python -m tests.bench COMMAND`. `scripts/bench` is the way to call it."""

from __future__ import annotations

import sys

import click

from tests.bench import attacks, chat, history, page, rooms, say


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Measure the chat server, and check that it loses nothing meanwhile."""


@main.command("say")
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("rate", type=click.IntRange(1), default=10_000)
def measure_say(seconds: float, rate: int) -> None:
    """100 members of one room, 20 of whom say RATE messages a second in all, for SECONDS."""
    sys.exit(not say.run(seconds, rate))


@main.command("chat")
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("rate", type=click.IntRange(1), default=2000)
def measure_chat(seconds: float, rate: int) -> None:
    """1,000 plain-text clients, all of whom talk: RATE messages a second in all, for SECONDS."""
    sys.exit(not chat.run(seconds, rate))


@main.command("history")
@click.argument("messages", type=click.IntRange(2000), default=1_000_000)
def measure_history(messages: int) -> None:
    """Joining and scrolling back in a room of so many MESSAGES."""
    sys.exit(not history.run(messages))


@main.command("page")
@click.argument("rounds", type=click.IntRange(1), default=5)
def measure_page(rounds: int) -> None:
    """The page in Chromium: 1,000 messages in a second, so many times, in a room of 10,000."""
    sys.exit(not page.run(rounds))


@main.command("attack", context_settings={"ignore_unknown_options": True})
@click.argument("name", type=click.Choice(list(attacks.ATTACKS)))
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("options", nargs=-1)
def measure_attack(name: str, seconds: float, options: tuple[str, ...]) -> None:
    """20 visitors who ask for what costs most for SECONDS, and how long a bystander's words take; with OPTIONS of the server."""
    sys.exit(not attacks.run(name, seconds, options))


@main.command("rooms", context_settings={"ignore_unknown_options": True})
@click.argument("number", type=click.IntRange(1), default=100_000)
@click.argument("seconds", type=click.FloatRange(0.1), default=15)
@click.argument("options", nargs=-1)
def measure_rooms(number: int, seconds: float, options: tuple[str, ...]) -> None:
    """So many rooms, which 20 visitors list at the default rate for SECONDS while somebody talks; with OPTIONS of the server."""
    sys.exit(not rooms.run(number, seconds, options))


main()
