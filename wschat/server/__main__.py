"""`python -m wschat.server`: a chat server, or any handler, from the command line. Here the house is put together."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
import platformdirs

from wschat.brokers.base import Retention
from wschat.brokers.opening import open_broker
from wschat.chat.access import Access, read_moderator
from wschat.chat.budgets import Budgets
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.chat.names import key_of
from wschat.chat.rates import Rate
from wschat.chat.tokens import read_secret
from wschat.errors import HistoryUnavailable, UsageError
from wschat.limits import SLOW_PEER_POLICIES, Limits
from wschat.protocol.deflate import Deflate
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.fd_reserve import FdReserve
from wschat.server.loading import load_handler
from wschat.server.logs import FORMATS, set_up_logging
from wschat.server.option_types import COUNT, Number, PortOption, Text, checked_by, read_by, report_ignored_variables
from wschat.server.origins import parse_origins
from wschat.server.proxies import PROXY_HEADERS, parse_networks
from wschat.server.requests import check_path_prefix
from wschat.server.running import CommandServer, run
from wschat.server.serve import make_handler_class
from wschat.server.server import DEFAULT_DEFLATE, WebSocketServer
from wschat.server.signals import Signals
from wschat.server.tls import Certificate
from wschat.stdio import open_standard_streams
from wschat.web.site import Site

_LIMITS = Limits()
_RETENTION = Retention()
# The chat's texts are short; the toolkit's default is for anything.
_CHAT_MESSAGE_BYTES = 64 * 1024
_COMPRESSIONS = {"off": None, "shared": DEFAULT_DEFLATE, "context": Deflate()}


class CannotServe(click.ClickException):
    """What was asked for cannot be served: one line, and exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so on standard error."""
        click.echo(f"wschat: {self.message}", file=file, err=True)


def read_moderators(texts: tuple[str, ...]) -> dict[str, str]:
    """The names of moderators and their passwords. Raises UsageError."""
    moderators = dict(map(read_moderator, texts))
    if len({key_of(name) for name in moderators}) < len(texts):
        raise UsageError("a moderator is given twice")
    return moderators


def read_prefix(text: str) -> str:
    """The prefix, without a slash at its end. Raises UsageError."""
    check_path_prefix(prefix := text.rstrip("/"))
    return prefix


option = partial(click.option, show_envvar=True)
rate_option = partial(option, metavar="N/SECONDS|off", callback=read_by(Rate.parse))


@click.command(context_settings={"auto_envvar_prefix": "WSCHAT", "show_default": True, "max_content_width": 120})
@option("--host", default="127.0.0.1", type=Text(), help="The address to listen on; with colons it is IPv6.")
@option("--port", cls=PortOption, default=8080, type=click.IntRange(0, 65535), help="The port; 0 takes any free one.")
@option("--app", default="chat", metavar="chat|MODULE:HANDLER|FILE.py:HANDLER", help="What to serve.")
@option(
    "--history",
    type=Text(),
    metavar="PATH|memory|off",
    help="Where the chat keeps what was said: in an SQLite file, in memory, or nowhere.  "
    "[default: history.sqlite in the user's state directory]",
)
@option("--keep-messages", default=_RETENTION.messages, type=COUNT, help="How many messages of each room are kept; 0 for all.")
@option("--keep-days", default=_RETENTION.days, type=Number(1_000_000), help="How many days messages are kept; 0 for ever.")
@option(
    "--auth-secret-file",
    type=Text(),
    help="Let only those into the chat who have a token that was signed with the secret in this file (see python -m wschat.chat.mint).",
)
@option("--auth-audience", type=Text(), help="Take only tokens that are for this audience (their claim aud).")
@option(
    "--moderator",
    "moderators",
    multiple=True,
    metavar="NAME:PASSWORD-FILE",
    callback=read_by(read_moderators),
    envvar="WSCHAT_MODERATOR",
    help="A moderator of all rooms, who comes in with ?name=NAME&password=PASSWORD. May be repeated.",
)
@option(
    "--origin",
    "origins",
    multiple=True,
    callback=checked_by(parse_origins),
    envvar="WSCHAT_ORIGIN",
    help="A web origin that may connect besides our own; * for all. May be repeated.",
)
@option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    callback=checked_by(AllowedHosts),
    envvar="WSCHAT_ALLOWED_HOST",
    help="A name that requests may be for, *.NAME for all below it, * for all; loopback names always are. May be repeated.  "
    "[default: loopback names at a loopback address, else *]",
)
@option("--tls-cert", type=Text(), help="A PEM file with a certificate chain, to speak TLS. SIGHUP reads it anew.")
@option("--tls-key", type=Text(), help="The PEM file with its key, if that is another file.")
@option("--max-connections", default=_LIMITS.max_connections, type=COUNT, help="Connections in all; 0 for no limit.")
@option(
    "--max-connections-per-ip",
    default=_LIMITS.max_connections_per_address,
    type=COUNT,
    help="Connections from one address; 0 for no limit.",
)
@option(
    "--insider",
    "insiders",
    multiple=True,
    metavar="CIDR",
    callback=checked_by(parse_networks),
    envvar="WSCHAT_INSIDER",
    help="The address or network of those who may see /stats and /metrics, as who is on this machine may. May be repeated.",
)
@option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="CIDR",
    callback=checked_by(parse_networks),
    envvar="WSCHAT_TRUSTED_PROXY",
    help="The address or network of a proxy that says for whom it asks. May be repeated.",
)
@option(
    "--proxy-header",
    type=click.Choice(PROXY_HEADERS, case_sensitive=False),
    help=f"The header in which trusted proxies say for whom they ask; others are ignored.  [default: {PROXY_HEADERS[0]}]",
)
@option("--path-prefix", default="", callback=read_by(read_prefix), help="What all paths begin with, as behind a proxy: /chat.")
@rate_option("--rate", default="10/1", help="The chat messages that one connection may send; three times as many at once.")
@rate_option("--work", default="5000/1", help="The messages and events that one connection may have read and delivered for it.")
@rate_option("--work-per-ip", default="50000/1", help="The same for all connections and HTTP requests of one address.")
@option("--max-rooms", default=100_000, type=COUNT, help="The rooms that something was said in; 0 for no limit.")
@rate_option("--rooms-per-ip", default="30/3600", help="The rooms that may be made from one address; three times as many at once.")
@option(
    "--max-message-bytes",
    type=COUNT,
    default=None,
    help=f"The largest message; 0 for no limit.  [default: {_CHAT_MESSAGE_BYTES} for the chat, else {_LIMITS.max_message_bytes}]",
)
@option(
    "--compression",
    default="shared",
    type=click.Choice(list(_COMPRESSIONS), case_sensitive=False),
    help="How messages are compressed for those who ask for it: not at all, once for all (each by itself), or for each by what "
    "came before, which takes up to 600 KB of memory a connection.",
)
@option("--outbox-bytes", default=_LIMITS.outbox_bytes, type=COUNT, help="What may wait for one slow peer; 0 for no limit.")
@option(
    "--outbox-bytes-per-ip",
    default=_LIMITS.outbox_bytes_per_address,
    type=COUNT,
    help="What may wait for all slow peers of one address; 0 for no limit.",
)
@option("--outbox-bytes-total", default=_LIMITS.outbox_bytes_total, type=COUNT, help="What may wait in all; 0 for no limit.")
@option(
    "--slow-peer",
    default=_LIMITS.slow_peer,
    type=click.Choice(SLOW_PEER_POLICIES),
    help="What becomes of a slow peer past that: it is closed, or loses the oldest broadcasts that wait for it.",
)
@option("--ping-interval", default=_LIMITS.ping_interval, type=Number(), help="Seconds between two pings; 0 for none.")
@option("--ping-timeout", default=_LIMITS.ping_timeout, type=Number(), help="Seconds to wait for a pong; 0 for ever.")
@option(
    "--one-core/--all-cores", default=True, help="Keep all threads on one core, which is faster under the GIL; elsewhere it has no effect."
)
@option(
    "--drain",
    default=_LIMITS.close_timeout,
    type=Number(),
    help="Seconds for which, at the end, slow clients are still sent what waits for them.",
)
@option("--log-format", default="text", type=click.Choice(FORMATS), help="Lines of text, or of JSON.")
@option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="What is worth a line on standard error.",
)
def main(app: str, host: str, port: int, max_message_bytes: int | None, log_level: str, **options: Any) -> None:
    """Serve WebSockets until Ctrl-C or SIGTERM: the chat, or a handler of your own.

    Each option can be given as an environment variable, too.
    """
    open_standard_streams()
    set_up_logging(log_level, options["log_format"])
    report_ignored_variables(main.params)
    is_chat = app == "chat"
    if max_message_bytes is None:
        max_message_bytes = _CHAT_MESSAGE_BYTES if is_chat else _LIMITS.max_message_bytes
    limits = replace(
        _LIMITS,
        max_message_bytes=max_message_bytes,
        outbox_bytes=options["outbox_bytes"],
        outbox_bytes_per_address=options["outbox_bytes_per_ip"],
        outbox_bytes_total=options["outbox_bytes_total"],
        slow_peer=options["slow_peer"],
        ping_interval=options["ping_interval"],
        ping_timeout=options["ping_timeout"],
        max_connections=options["max_connections"],
        max_connections_per_address=options["max_connections_per_ip"],
    )
    if options["proxy_header"] and not options["trusted_proxies"]:
        raise CannotServe("--proxy-header goes with a --trusted-proxy")
    certificate = load_certificate(options["tls_cert"], options["tls_key"])
    chat = open_chat(options) if is_chat else None
    with ExitStack() as opened:  # all of it is closed, whatever another part raises
        if chat is not None:
            opened.callback(chat.close)
        with starting():
            site = Site(chat.http, max_message_bytes, options["insiders"]) if chat else None
        if site is not None:
            opened.callback(site.close)
        handler = chat.handle if chat else app_handler(app, options)
        with listen(app, handler, chat, site, (host, port), limits, certificate, options) as server:
            if site is not None:
                site.watch(server.load)
            place = f"{f'[{host}]' if ':' in host else host}:{server.port}{options['path_prefix']}/"
            secure = "s" if certificate else ""
            announcement = (
                f"wschat serves {served_by(app, options)} on {f'http{secure}://{place} and ' if site else ''}ws{secure}://{place}"
            )
            with starting():
                opened.enter_context(Signals(actions_on_signals(server, certificate)))
                run(server, announcement, one_core=options["one_core"])
            server.stop(options["drain"])


@contextmanager
def starting() -> Iterator[None]:
    """Turn a lack of descriptors, memory or threads into CannotServe."""
    try:
        yield
    except OSError as error:
        if not FdReserve.is_exhaustion(error):
            raise
        raise CannotServe(f"cannot start: {error}") from None


def served_by(app: str, options: dict[str, Any]) -> str:
    """What is served, for people: for a chat, with where it keeps what is said."""
    return f"{app} (history: {options['history']})" if app == "chat" and options["history"] != "off" else app


def open_chat(options: dict[str, Any]) -> Chat:
    """The chat that the options ask for; the history that is used is noted among them. Raises CannotServe."""
    if options["history"] is None:
        options["history"] = default_history()
    try:
        retention = Retention(options["keep_messages"], options["keep_days"])
        secret = read_secret(options["auth_secret_file"]) if options["auth_secret_file"] is not None else None
        access = Access(secret, options["moderators"], audience=options["auth_audience"])
        budgets = Budgets(options["rate"], options["work"], options["work_per_ip"]) if options["rate"] else Budgets()
        return Chat(
            open_broker(options["history"], retention),
            access=access,
            budgets=budgets,
            max_rooms=options["max_rooms"],
            rooms_per_address=options["rooms_per_ip"],
        )
    except (HistoryUnavailable, UsageError) as error:
        raise CannotServe(str(error)) from None


def default_history() -> str:
    """The file in the user's state directory. Raises CannotServe if the user has none."""
    try:
        folder = platformdirs.user_state_path("wschat", appauthor=False)
    except RuntimeError:  # from platformdirs
        folder = Path("~")
    if not folder.is_absolute():
        raise CannotServe("this user has no home directory to keep a history in: give --history PATH, memory or off, or set HOME")
    return str(folder / "history.sqlite")


def listen(
    app: str,
    handler: Any,
    chat: Chat | None,
    site: Site | None,
    address: tuple[str, int],
    limits: Limits,
    certificate: Certificate | None,
    options: dict[str, Any],
) -> WebSocketServer:
    """A server for this handler. Raises CannotServe."""
    try:
        return CommandServer(
            address,
            make_handler_class(handler, chat.check_request if chat else None),
            limits=limits,
            subprotocols=SUBPROTOCOLS if chat else (),
            origins=options["origins"],
            allowed_hosts=options["allowed_hosts"],
            deflate=_COMPRESSIONS[options["compression"]],
            tls=certificate.context if certificate else None,
            trusted_proxies=options["trusted_proxies"],
            proxy_header=options["proxy_header"] or PROXY_HEADERS[0],
            http=site,
            path_prefix=options["path_prefix"],
        )
    except UsageError as error:
        raise CannotServe(f"--app {app}: {error}") from None
    except OSError as error:
        raise CannotServe(error.strerror or str(error)) from None


def load_certificate(certificate: str | None, key: str | None) -> Certificate | None:
    """The certificate that the options name. Raises CannotServe if there is none where they say."""
    if certificate is None:
        if key is not None:
            raise CannotServe("--tls-key goes with a --tls-cert")
        return None
    try:
        return Certificate(certificate, key)
    except UsageError as error:
        raise CannotServe(str(error)) from None


def app_handler(app: str, options: dict[str, Any]) -> Any:
    """The handler that `--app` names. Raises CannotServe, also for options that protect the chat and would not protect it."""
    for name in ("auth_secret_file", "moderators"):
        if options[name]:
            raise CannotServe(f"--{name.replace('_', '-').removesuffix('s')} is for the chat, and does not protect --app {app}")
    try:
        return load_handler(app)
    except UsageError as error:
        raise CannotServe(str(error)) from None


def actions_on_signals(server: WebSocketServer, certificate: Certificate | None) -> dict[int, Callable[[], None]]:
    """What to do about each signal: SIGHUP reads a certificate anew, all others have `serve_forever` return."""
    actions = dict.fromkeys((signal.SIGINT, signal.SIGTERM), server.request_shutdown)
    hang_up = getattr(signal, "SIGHUP", None)  # which Windows does not have
    if hang_up is not None and certificate is not None:
        actions[hang_up] = certificate.try_to_reload
    elif hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:  # as it is under nohup
        actions[hang_up] = server.request_shutdown
    return {int(number): action for number, action in actions.items()}


if __name__ == "__main__":
    main()
