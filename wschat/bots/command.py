"""What the commands of all bots share: the options of the connection, signals, and exit codes."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Any

import click

from wschat.cli.signals import Signals
from wschat.client.bot.bot import Bot
from wschat.errors import ConnectionClosed, PeerError, UsageError
from wschat.stdio import open_standard_streams

_NOT_OPENED, _LOST = 3, 4


def bot_command(name: str) -> Callable[[Callable[..., Bot]], click.Command]:
    """Return a decorator for a function that makes a bot, which becomes a command that runs it.

    The function is called with the keywords `url`, `name`, `rooms`, `token`, `password` and `secret` for `Bot`, and with those of its own
    options. The exit code is 0 after Ctrl-C or SIGTERM, 2 for a wrong use, or a file or a port that cannot be used, 3 if the server refuses
    the bot, and 4 if another connection has taken over its name.
    """
    parts = [
        click.argument("url"),
        click.option("--name", default=name, show_default=True, help="Name of the bot in the chat."),
        click.option("--room", "rooms", multiple=True, default=["lobby"], show_default=True, help="Room to join. May be repeated."),
        click.option("--token", envvar="WSCHAT_BOT_TOKEN", show_envvar=True, help="Token for a chat that needs one."),
        click.option("--password", envvar="WSCHAT_BOT_PASSWORD", show_envvar=True, help="Password of a moderator with this name."),
        click.option(
            "--secret",
            envvar="WSCHAT_BOT_SECRET",
            show_envvar=True,
            help="22 letters or more, by which a bot without a token or a password has its name back when it is started again.",
        ),
    ]

    def make(function: Callable[..., Bot]) -> click.Command:
        def main(**options: Any) -> None:
            _run(function, options)

        main.__doc__ = function.__doc__
        # The options of the function, which click has collected there, come after these.
        main.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for part in reversed(parts):
            part(main)
        return click.command(name)(main)

    return make


def _run(make_bot: Callable[..., Bot], options: dict[str, Any]) -> None:
    open_standard_streams()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        bot = _make(make_bot, options)
        with Signals({signal.SIGTERM: bot.stop}):
            bot.run()
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except (OSError, PeerError):  # which the bot has logged
        raise SystemExit(_NOT_OPENED) from None
    except ConnectionClosed:
        raise SystemExit(_LOST) from None


def _make(make_bot: Callable[..., Bot], options: dict[str, Any]) -> Bot:
    """Make a bot. Raises UsageError if it cannot have what it needs, such as a file or a port."""
    try:
        return make_bot(**options)
    except OSError as error:
        raise UsageError(str(error)) from None
