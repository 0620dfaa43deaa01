"""Benchmarks of the chat server: `python -m tests.bench COMMAND`. Call it with `scripts/bench`."""

from __future__ import annotations

import sys

import click

from tests.bench import attacks, beside, chat, client, history, mixed, page, rooms, say, upload, wsgi


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Measure the chat server, and check that it loses no message."""


@main.command("say")
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("rate", type=click.IntRange(1), default=10_000)
@click.option("--broker", help="The URL of a broker without this room, such as redis://127.0.0.1?prefix=x: instead of a file.")
def measure_say(seconds: float, rate: int, broker: str | None) -> None:
    """100 members of one room; 20 of them send RATE messages per second in all, for SECONDS."""
    sys.exit(not say.run(seconds, rate, broker))


@main.command("chat")
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("rate", type=click.IntRange(1), default=2000)
def measure_chat(seconds: float, rate: int) -> None:
    """1,000 plain-text clients that send RATE messages per second in all, for SECONDS."""
    sys.exit(not chat.run(seconds, rate))


@main.command("history")
@click.argument("messages", type=click.IntRange(2000), default=1_000_000)
def measure_history(messages: int) -> None:
    """Joining and scrolling back in a room with this number of MESSAGES."""
    sys.exit(not history.run(messages))


@main.command("page")
@click.argument("rounds", type=click.IntRange(1), default=5)
def measure_page(rounds: int) -> None:
    """The page in Chromium: 1,000 messages in one second, in a room of 10,000, for ROUNDS rounds."""
    sys.exit(not page.run(rounds))


@main.command("attack", context_settings={"ignore_unknown_options": True})
@click.argument("name", type=click.Choice(list(attacks.ATTACKS)))
@click.argument("seconds", type=click.FloatRange(0.1), default=10)
@click.argument("options", nargs=-1)
def measure_attack(name: str, seconds: float, options: tuple[str, ...]) -> None:
    """20 clients that send the most expensive requests for SECONDS, and the delay of another client's acks; OPTIONS go to the server."""
    sys.exit(not attacks.run(name, seconds, options))


@main.command("rooms", context_settings={"ignore_unknown_options": True})
@click.argument("number", type=click.IntRange(1), default=100_000)
@click.argument("seconds", type=click.FloatRange(0.1), default=15)
@click.argument("options", nargs=-1)
def measure_rooms(number: int, seconds: float, options: tuple[str, ...]) -> None:
    """20 clients that list ROOMS rooms at the default rate for SECONDS while another client sends messages; OPTIONS go to the server."""
    sys.exit(not rooms.run(number, seconds, options))


@main.command("client")
@click.argument("rounds", type=click.IntRange(1), default=7)
def measure_client(rounds: int) -> None:
    """A client that receives, sends and pings as fast as it can, beside those of other libraries, for ROUNDS rounds."""
    sys.exit(not client.run(rounds))


@main.command("wsgi")
@click.argument("rounds", type=click.IntRange(1), default=5)
@click.argument("seconds", type=click.FloatRange(1), default=3)
def measure_wsgi(rounds: int, seconds: float) -> None:
    """A WSGI application on this server and the others that are installed, for ROUNDS rounds of SECONDS."""
    sys.exit(not wsgi.run(rounds, seconds))


@main.command("beside")
@click.argument("rounds", type=click.IntRange(1), default=5)
def measure_beside(rounds: int) -> None:
    """Requests to an application of Flask beside 100 open WebSockets, here and in gunicorn and Flask-SocketIO, for ROUNDS rounds."""
    sys.exit(not beside.run(rounds))


@main.command("mixed")
@click.argument("seconds", type=click.FloatRange(1), default=300)
@click.argument("sockets", type=click.IntRange(1, 30_000), default=10_000)
@click.argument("rate", type=click.IntRange(10), default=50)
def measure_mixed(seconds: float, sockets: int, rate: int) -> None:
    """This number of open WebSockets and RATE requests per second to a WSGI application on one port, for SECONDS."""
    sys.exit(not mixed.run(seconds, sockets, rate))


@main.command("upload")
@click.argument("megabytes", type=click.IntRange(1), default=1024)
def measure_upload(megabytes: int) -> None:
    """Bodies of this number of MEGABYTES to and from a WSGI application, and the server's memory."""
    sys.exit(not upload.run(megabytes))


main()
