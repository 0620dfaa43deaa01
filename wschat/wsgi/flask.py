"""WebSockets as routes of Flask, with the names of flask-sock: a handler runs after a change of its import.

Needs Flask 2.2 or newer, which is imported here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import simple_websocket
from flask import Blueprint, Flask, Response, current_app, request
from simple_websocket import ConnectionClosed

from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed as Closed
from wschat.errors import RequestRefused, UsageError
from wschat.limits import DEFAULT_LIMITS
from wschat.protocol.frames import CloseCode
from wschat.server.wsgi import WsgiApp
from wschat.wsgi.hosting import handler_for
from wschat.wsgi.opening import accept
from wschat.wsgi.responses import CLOSED_STATUS, encode_refusal
from wschat.wsgi.running import run_handler
from wschat.wsgi.servers import WsgiEnviron

__all__ = ["ConnectionClosed", "Sock", "WebSocket"]

OPTIONS = "SOCK_SERVER_OPTIONS"
"""The key of the options in an application's configuration."""
# Fields of `Limits`, by the names of flask-sock. Its None is no limit.
_LIMITS = {"ping_interval": "ping_interval", "max_message_size": "max_message_bytes"}
_OWN = ("check_request", "deflate", "limits", "origins")
# Options of flask-sock about its threads and reads, which wschat does not have.
_WITHOUT_EFFECT = ("event_class", "receive_bytes", "selector_class", "thread_class")


class WebSocket:
    """A WebSocket with the methods of flask-sock's, which are those of simple-websocket. `connection` is the `Connection`.

    Methods raise `ConnectionClosed`, whose `reason` is the close code and `message` the text. Any thread may send and close.
    """

    def __init__(self, connection: Connection, environ: WsgiEnviron) -> None:
        self.connection = connection
        self.environ = environ
        """The environ of the request."""

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self.connection.closed is None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed on, or None."""
        return self.connection.subprotocol

    def send(self, data: object) -> None:
        """Send a message: binary for bytes, else the text of the object. May wait, as `Connection.send` does."""
        try:
            self.connection.send(data if isinstance(data, (bytes, bytearray, memoryview)) else str(data))
        except Closed as closed:
            raise _closed_error(closed) from None

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Wait for a message and return it, or None if none comes within `timeout` seconds. For one thread at a time."""
        try:
            return self.connection.recv(timeout)
        except TimeoutError:
            return None
        except Closed as closed:
            raise _closed_error(closed) from None

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Close the connection with a code (by default 1000) and a text, and wait for its end, as `Connection.close` does."""
        if (closed := self.connection.closed) is not None:
            raise _closed_error(closed)
        self.connection.close(CloseCode.NORMAL if reason is None else reason, message or "")


def _closed_error(closed: Closed) -> simple_websocket.ConnectionClosed:
    return ConnectionClosed(closed.code, closed.reason)


View = Callable[..., Any]


class Sock:
    """WebSocket routes of a Flask application, given here or to `init_app`.

    The application's configuration may have `SOCK_SERVER_OPTIONS`, a mapping with `ping_interval`, `max_message_size` and
    `subprotocols` as for flask-sock, and the arguments of `accept`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.app = app
        """The application; None until `init_app`."""
        self._waiting: list[tuple[str, View, dict[str, Any]]] = []  # routes made before there was an application

    def init_app(self, app: Flask) -> None:
        """Add the routes to an application."""
        self.app = app
        for rule, view, options in self._waiting:
            app.add_url_rule(rule, view_func=view, **options)

    def route(self, path: str, bp: Blueprint | None = None, **options: Any) -> Callable[[View], View]:
        """Return a decorator that makes a function of a `WebSocket` the handler of a path, as `Flask.route` does.

        The arguments of the path follow the WebSocket. `bp` is a blueprint for the route.
        """

        def decorate(handler: View) -> View:
            @functools.wraps(handler)
            def view(*args: Any, **kwargs: Any) -> Response:
                return _run(handler, *args, **kwargs)

            rule_options = {**options, "websocket": True}
            if (target := bp or self.app) is not None:
                target.add_url_rule(path, view_func=view, **rule_options)
            else:
                self._waiting.append((path, view, rule_options))
            return view

        return decorate

    @property
    def handler(self) -> Callable[[Connection], None]:
        """The routes as a handler for wschat's own server: `wschat.serve(sock.handler, wsgi=app)`. Raises UsageError without an app."""
        if self.app is None:
            raise UsageError("Sock has no application yet: give it one, or call init_app")
        app: WsgiApp = self.app
        return handler_for(app)


def _run(handler: View, *args: Any, **kwargs: Any) -> Response:
    """Open the WebSocket of the current request, and call a handler with it."""
    try:
        connection = accept(request.environ, **_options(current_app.config.get(OPTIONS, {})))
    except RequestRefused as refusal:
        body, headers = encode_refusal(refusal)
        return Response(body, refusal.status, headers)

    def call(ws: Connection) -> object:
        with suppress(ConnectionClosed):
            return handler(WebSocket(ws, request.environ), *args, **kwargs)
        return None

    run_handler(call, connection, request.environ)
    return Response(status=CLOSED_STATUS)


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `accept` for flask-sock's options. Raises UsageError for an unknown one."""
    if unknown := options.keys() - {*_LIMITS, *_OWN, *_WITHOUT_EFFECT, "subprotocols"}:
        known = ", ".join(sorted({*_LIMITS, *_OWN, "subprotocols"}))
        raise UsageError(f"{OPTIONS} may have {known}, not {', '.join(sorted(unknown))}")
    arguments = {name: options[name] for name in _OWN if name in options}
    subprotocols = options.get("subprotocols") or ()
    arguments["subprotocols"] = [subprotocols] if isinstance(subprotocols, str) else subprotocols
    limits = {field: options[name] or 0 for name, field in _LIMITS.items() if name in options}
    arguments["limits"] = replace(options.get("limits", DEFAULT_LIMITS), **limits)
    return arguments
