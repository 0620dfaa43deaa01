"""`wschat serve`: a chat server, or any handler, from the command line."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any

import click

from wschat.brokers.opening import may_be_shared
from wschat.cli.apps import CHAT, App, load_wsgi, open_app, wsgi_only
from wschat.cli.chat import ChatConfig
from wschat.cli.config_file import CONFIG_OPTIONS, shown_config
from wschat.cli.log_output import FORMATS, LEVELS, set_up_logging
from wschat.cli.options import configured, is_given, options_of, report_ignored_variables
from wschat.cli.process import CommandServer, run
from wschat.cli.reload import FLAG, run_reloading
from wschat.cli.signals import Signals
from wschat.cli.systemd import notify, passed_socket
from wschat.cli.version import version_option
from wschat.cli.worker import Worker, this_worker
from wschat.cli.workers import Port, Workers
from wschat.errors import HistoryUnavailable, UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.server.config import ServerConfig
from wschat.server.fd_reserve import FdReserve
from wschat.server.server import WebSocketServer
from wschat.server.tls import Certificate
from wschat.settings import Option, setting
from wschat.stdio import announce, open_standard_streams

# The messages of the chat are short; the default of the toolkit is for any application.
CHAT_LIMITS = replace(DEFAULT_LIMITS, max_message_bytes=64 * 1024)
_MAX_PORT = 65535
_MAX_WORKERS = 1024


@dataclass(frozen=True, kw_only=True)
class CommandConfig:
    """The configuration of the command: what to serve, where, and how its process runs."""

    host: str = setting("127.0.0.1", option=Option("--host", "Address to listen on; with colons, an IPv6 address."))
    """The address to listen on."""
    port: int = setting(8080, option=Option("--port", "Port to listen on; 0 for any free port.", maximum=_MAX_PORT))
    """The port to listen on; 0 for any free port."""
    app: str = setting(CHAT, option=Option("--app", "Application to serve.", metavar="chat|MODULE:HANDLER|FILE.py:HANDLER"))
    """The application to serve."""
    wsgi_app: str | None = setting(
        None,
        option=Option(
            "--wsgi",
            "WSGI application for all requests that are not for the application: those that open no WebSocket, and beside the chat those "
            "without its path prefix. Without --app, there are no WebSockets.",
            metavar="MODULE:APP|FILE.py:APP",
        ),
    )
    """The WSGI application to serve; None for none."""
    reload: bool = setting(False, option=Option(FLAG, "Start again whenever a Python file has changed, for development (extra reload)."))
    """Whether to start again whenever a Python file has changed."""
    workers: int = setting(
        1,
        option=Option(
            "--workers",
            "Processes that share the port, for a chat on several cores; 0 for one for each core. The chat needs --broker redis://HOST. "
            "SIGHUP replaces them one after another.",
            maximum=_MAX_WORKERS,
        ),
    )
    """The number of processes that share the port; 0 for one for each core."""
    tls_cert: str | None = setting(None, option=Option("--tls-cert", "PEM file with a certificate chain, for TLS. SIGHUP reloads it."))
    """The path of a PEM file with a certificate chain; None for no TLS."""
    tls_key: str | None = setting(None, option=Option("--tls-key", "PEM file with the private key, if it is another file."))
    """The path of a PEM file with the private key, if it is another file."""
    one_core: bool = setting(
        True,
        option=Option("--one-core/--all-cores", "Keep all threads on one core: faster under the GIL, else without effect."),
    )
    """Whether to keep all threads on one core."""
    drain: float = setting(
        DEFAULT_LIMITS.close_timeout, option=Option("--drain", "Seconds, when the server stops, to send what waits for slow clients.")
    )
    """The seconds for which a server that stops still sends what waits for slow clients."""
    log_format: str = setting(FORMATS[0], option=Option("--log-format", "Format of the log.", choices={name: name for name in FORMATS}))
    """The format of the log: `text` or `json`."""
    log_level: str = setting("info", option=Option("--log-level", "Least severity to log.", choices={name: name for name in LEVELS}))
    """The least severity to log."""


class CannotServe(click.ClickException):
    """The command cannot do what it was asked to: one line on standard error, and exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error."""
        click.echo(f"wschat: {self.message}", file=file, err=True)


@click.command(
    "serve",
    params=[
        *options_of(CommandConfig),
        *options_of(
            Limits,
            defaults={"max_message_bytes": f"{CHAT_LIMITS.max_message_bytes} for the chat, else {DEFAULT_LIMITS.max_message_bytes}"},
        ),
        *options_of(ServerConfig),
        *options_of(ChatConfig),
        *CONFIG_OPTIONS,
    ],
    context_settings={"max_content_width": 120},
)
@version_option
@click.pass_context
def main(context: click.Context, /, **_: Any) -> None:
    """Serve WebSockets until Ctrl-C or SIGTERM: the chat, or a handler of your own.

    Each option can also be given as an environment variable, and in a file (--config).
    """
    open_standard_streams()
    command = configured(CommandConfig(), context)
    limits = configured(CHAT_LIMITS if command.app == CHAT else DEFAULT_LIMITS, context)
    if context.params["show_config"]:
        click.echo(shown_config(context, max_message_bytes=limits.max_message_bytes))
        return
    if command.reload:
        with _starting():
            run_reloading(command.app, command.wsgi_app or "")
        return
    set_up_logging(command.log_level, command.log_format)
    worker = this_worker()
    if worker is None:
        report_ignored_variables(context.command.params)
    if worker is None and command.workers != 1:
        context.exit(_run_workers(command, context))
    _serve(command, context, limits, worker)


def _serve(command: CommandConfig, context: click.Context, limits: Limits, worker: Worker | None) -> None:
    """Serve, as a worker or alone, until a signal. Raises CannotServe."""
    with ExitStack() as stack:
        with _starting():
            certificate = _load_certificate(command)
            config = replace(_server_config(context), limits=limits, tls=certificate.context if certificate else None)
            app = stack.enter_context(_open_app(command, context, limits))
            passed = worker.listening if worker else _passed_socket(context)
            server = _listen(passed or (command.host, command.port), command, app, config)
            stack.enter_context(server)
        announcement = _announcement(command, app, server, is_passed=passed is not None)
        core = worker.index if worker else 0
        with _running():
            stack.enter_context(Signals(_actions_on_signals(server, certificate)))
            run(server, partial(_report_ready, worker, announcement, server), core=core if command.one_core else None)
        notify("STOPPING=1")
        if worker.is_replaced if worker else passed is not None:
            server.finish_openings()
        server.stop(command.drain)


@contextmanager
def _starting() -> Iterator[None]:
    """Turn whatever prevents a server from starting into CannotServe."""
    try:
        with _running():
            yield
    except (HistoryUnavailable, UsageError) as error:
        raise CannotServe(str(error)) from None
    except OSError as error:
        raise CannotServe(error.strerror or str(error)) from None


@contextmanager
def _running() -> Iterator[None]:
    """Turn a lack of descriptors, memory or threads into CannotServe."""
    try:
        yield
    except OSError as error:
        if not FdReserve.is_exhaustion(error):
            raise
        raise CannotServe(f"cannot start: {error}") from None


def _load_certificate(command: CommandConfig) -> Certificate | None:
    """Return the certificate of the command, None for no TLS. Raises UsageError."""
    if command.tls_cert is not None:
        return Certificate(command.tls_cert, command.tls_key)
    if command.tls_key is not None:
        raise UsageError("--tls-key needs a --tls-cert")
    return None


def _server_config(context: click.Context) -> ServerConfig:
    """Return the settings of the server that were given. Raises UsageError."""
    config = configured(ServerConfig(), context)
    if is_given("proxy_header", context) and not config.trusted_proxies:
        raise UsageError("--proxy-header needs a --trusted-proxy")
    return config


@contextmanager
def _open_app(command: CommandConfig, context: click.Context, limits: Limits) -> Iterator[App]:
    """Open the application of the WebSockets. Raises UsageError."""
    if command.wsgi_app is not None and not is_given("app", context):
        yield wsgi_only(command.wsgi_app)
        return
    with open_app(command.app, configured(ChatConfig(), context), limits.max_message_bytes) as app:
        yield app


def _passed_socket(context: click.Context) -> socket.socket | None:
    """Return the socket that systemd has passed, None without one. Raises UsageError if an address is given, too."""
    passed = passed_socket()
    for name in ("host", "port"):
        if passed is not None and is_given(name, context):
            raise UsageError(f"systemd passes a socket that listens: --{name} cannot be given, too")
    return passed


def _listen(address: tuple[str, int] | socket.socket, command: CommandConfig, app: App, config: ServerConfig) -> CommandServer:
    """Return a server of an application. Raises UsageError, and OSError if the address cannot be listened on."""
    wsgi = None if command.wsgi_app is None else load_wsgi(command.wsgi_app)
    if wsgi is not None and app.site is not None and not config.path_prefix:
        raise UsageError(f"--wsgi beside --app {command.app} needs a --path-prefix, such as /{command.app}")
    public_paths = () if app.site is None else app.site.public_paths
    config = replace(config, subprotocols=app.subprotocols, http=app.site, public_paths=public_paths, wsgi=wsgi)
    server = CommandServer(address, app.handler_class, config=config)
    if app.site is not None:
        app.site.watch(server.load)
    return server


def _announcement(command: CommandConfig, app: App, server: WebSocketServer, *, is_passed: bool) -> str:
    """Return the line that tells what is served, and at which URLs, or on which Unix socket of systemd's."""
    if not isinstance(server.server_address, tuple):
        return f"wschat serves {app.description} on {server.server_address!s}"
    host = str(server.server_address[0]) if is_passed else command.host
    host = f"[{host}]" if ":" in host else host
    secure = "s" if server.config.tls else ""
    place = f"{secure}://{host}:{server.port}"
    schemes = [scheme for scheme, is_served in (("http", server.config.has_http), ("ws", app.has_websockets)) if is_served]
    urls = " and ".join(f"{scheme}{place}{server.config.path_prefix}/" for scheme in schemes)
    beside = f"{command.wsgi_app} on http{place}/ and " if command.wsgi_app is not None and app.has_websockets else ""
    return f"wschat serves {beside}{app.description} on {urls}"


def _report_ready(worker: Worker | None, announcement: str, server: WebSocketServer) -> None:
    """Tell that a server is ready: the process that has started the worker, or the user and systemd."""
    if worker is not None:
        worker.report_ready(announcement, server.request_shutdown)
    else:
        announce(announcement)
        notify("READY=1")


def _run_workers(command: CommandConfig, context: click.Context) -> int:
    """Run workers until they are stopped, and return the exit code. Raises CannotServe if they cannot be started."""
    with _starting():
        history = configured(ChatConfig(), context).history
        is_chat = command.app == CHAT and (command.wsgi_app is None or is_given("app", context))
        if is_chat and (history is None or not may_be_shared(history)):
            raise UsageError("--workers needs a broker that all processes share, such as --broker redis://HOST")
        passed = _passed_socket(context)
        backlog = configured(ServerConfig(), context).backlog
        listen = passed.dup if passed else Port((command.host, command.port), backlog).listen
        return Workers(command.workers or _count_cores(), listen, command.drain).serve()


def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _actions_on_signals(server: WebSocketServer, certificate: Certificate | None) -> dict[int, Callable[[], None]]:
    """Return what to do about each signal: SIGHUP reloads a certificate, all others make `serve_forever` return."""
    actions = dict.fromkeys((signal.SIGINT, signal.SIGTERM), server.request_shutdown)
    hang_up = getattr(signal, "SIGHUP", None)  # which Windows does not have
    if hang_up is not None and certificate is not None:
        actions[hang_up] = certificate.try_to_reload
    elif hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:  # ignored under nohup
        actions[hang_up] = server.request_shutdown
    return {int(number): action for number, action in actions.items()}
