"""`python -m wschat.server`: a chat server, or any handler, from the command line. Here the house is put together."""

from __future__ import annotations

import gc
import importlib
import logging
import signal
import sys
from dataclasses import replace
from typing import IO, Any

import click

from wschat.chat.plain import PlainChat
from wschat.connection.crew import join_crew, leave_crew
from wschat.errors import UsageError
from wschat.limits import Limits
from wschat.server.placement import Placement, is_worthwhile
from wschat.server.serve import serve
from wschat.server.server import WebSocketServer

_LIMITS = Limits()
# The chat's texts are short; the toolkit's default is for anything.
_CHAT_MESSAGE_BYTES = 64 * 1024


class CannotServe(click.ClickException):
    """What was asked for cannot be served: one line, and exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so on standard error."""
        click.echo(f"wschat: {self.message}", file=file, err=True)


@click.command(context_settings={"auto_envvar_prefix": "WSCHAT", "show_default": True, "max_content_width": 120})
@click.option("--host", default="127.0.0.1", show_envvar=True, help="The address to listen on; with colons it is IPv6.")
@click.option("--port", default=8080, type=click.IntRange(0, 65535), show_envvar=True, help="The port; 0 takes any free one.")
@click.option("--app", default="chat", show_envvar=True, metavar="chat|MODULE:HANDLER", help="What to serve.")
@click.option("--history", default="off", type=click.Choice(["off"]), show_envvar=True, help="Where the chat keeps what was said.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    envvar="WSCHAT_ORIGIN",
    show_envvar=True,
    help="A web origin that may connect besides our own; * for all. May be repeated.",
)
@click.option("--max-connections", default="0", type=click.Choice(["0"]), show_envvar=True, help="Connections in all.")
@click.option("--max-connections-per-ip", default="0", type=click.Choice(["0"]), show_envvar=True, help="Connections from one address.")
@click.option("--rate", default="off", type=click.Choice(["off"]), show_envvar=True, help="Messages of one connection.")
@click.option(
    "--max-message-bytes",
    type=click.IntRange(0),
    default=None,
    show_envvar=True,
    help=f"The largest message; 0 for no limit.  [default: {_CHAT_MESSAGE_BYTES} for the chat, else {_LIMITS.max_message_bytes}]",
)
@click.option(
    "--outbox-bytes",
    default=_LIMITS.outbox_bytes,
    type=click.IntRange(0),
    show_envvar=True,
    help="What may wait for one slow peer; 0 for no limit.",
)
@click.option(
    "--ping-interval",
    default=_LIMITS.ping_interval,
    type=click.FloatRange(0),
    show_envvar=True,
    help="Seconds between two pings; 0 for none.",
)
@click.option(
    "--ping-timeout",
    default=_LIMITS.ping_timeout,
    type=click.FloatRange(0),
    show_envvar=True,
    help="Seconds to wait for a pong; 0 for ever.",
)
@click.option(
    "--one-core/--all-cores",
    default=True,
    show_envvar=True,
    help="Keep all threads on one core, which is faster under the GIL; elsewhere it has no effect.",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    show_envvar=True,
    help="What is worth a line on standard error.",
)
def main(app: str, host: str, port: int, max_message_bytes: int | None, log_level: str, **options: Any) -> None:
    """Serve WebSockets until Ctrl-C or SIGTERM: the chat, or a handler of your own.

    Each option can be given as an environment variable, too.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    is_chat = app == "chat"
    if max_message_bytes is None:
        max_message_bytes = _CHAT_MESSAGE_BYTES if is_chat else _LIMITS.max_message_bytes
    limits = replace(
        _LIMITS,
        max_message_bytes=max_message_bytes,
        outbox_bytes=options["outbox_bytes"],
        ping_interval=options["ping_interval"],
        ping_timeout=options["ping_timeout"],
    )
    chat = PlainChat()
    handler = chat.handle if is_chat else load_handler(app)
    try:
        server = serve(
            handler, host, port, check_request=chat.check_request if is_chat else None, limits=limits, origins=options["origins"]
        )
    except UsageError as error:
        raise CannotServe(f"--app {app}: {error}") from None
    except OSError as error:
        raise CannotServe(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    with server:
        run_until_signal(
            server,
            one_core=options["one_core"],
            announcement=f"wschat serves {app} on ws://{f'[{host}]' if ':' in host else host}:{server.port}/",
        )


def load_handler(name: str) -> Any:
    """The handler that `MODULE:HANDLER` names. Raises CannotServe if there is none."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise CannotServe(f"--app is chat or MODULE:HANDLER, not {name!r}")
    try:
        handler = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever the user's module raises as it is imported
        raise CannotServe(f"--app {name}: {type(error).__name__}: {error}") from None
    if not callable(handler):
        raise CannotServe(f"--app {name}: {attribute} cannot be called")
    return handler


def run_until_signal(server: WebSocketServer, announcement: str, *, one_core: bool) -> None:
    """Serve until SIGINT or SIGTERM; the connections are closed by whoever stops the server."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.request_shutdown())
    # What the imports have made stays for good; without this, the collector looks at it again with every thousand connections.
    gc.freeze()
    crew = join_crew()
    placement = Placement(crew.deadlines) if one_core and is_worthwhile() else None
    if placement is not None:
        placement.start()
    try:
        print(announcement, flush=True)
        server.serve_forever()
    finally:
        if placement is not None:
            placement.stop()
        leave_crew(crew)


if __name__ == "__main__":
    main()
