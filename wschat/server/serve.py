"""`serve`: a server for a handler function."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any

from wschat.connection.connection import Connection
from wschat.errors import RequestRefused, UsageError
from wschat.server.config import DEFAULT_CONFIG, ServerConfig
from wschat.server.handlers import check_function, check_has_run
from wschat.server.requests import Request
from wschat.server.routes import Routes
from wschat.server.server import WebSocketHandler, WebSocketServer


def serve(
    handler: Callable[[Connection], None] | type[WebSocketHandler] | Mapping[str, Callable[[Connection], None]],
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    unix_path: str | os.PathLike[str] | None = None,
    listener: socket.socket | None = None,
    check_request: Callable[[Request], None] | None = None,
    websocket_paths: Collection[str] | None = None,
    config: ServerConfig = DEFAULT_CONFIG,
    **settings: Any,
) -> WebSocketServer:
    """Return a server that listens and calls `handler` with each connection, in a thread of its own.

    Run it with `serve_forever` or `start`. `handler` is a function of a `Connection`, a `WebSocketHandler` class, or a mapping of paths to
    functions, such as `{"/prices/<symbol>": prices}`, of which the first that fits counts: `<name>` stands for one segment of the path,
    `<int:name>` for a whole number, `<path:name>` for all the rest, and `Connection.path_params` has the values. `websocket_paths` are the
    only paths of a function. Any other path is refused with 404.

    The server listens on `host` and `port` (0 for any free port), on the Unix socket `unix_path`, or on the listening socket `listener`.
    `check_request` is called with the `Request` of each opening and may raise RequestRefused.

    `config` holds the other settings. Each field of `ServerConfig` can also be given as a keyword argument, which wins: `limits`,
    `subprotocols`, `origins`, `allowed_hosts`, `deflate`, `tls`, `trusted_proxies`, `proxy_header`, `http`, `wsgi`,
    `path_prefix`.

    Raises UsageError for a value that could never work, such as an `async def` handler, TypeError for an unknown keyword, and OSError
    if the address cannot be listened on.
    """
    if websocket_paths is not None:
        handler = at_paths(handler, websocket_paths)
    address: tuple[str, int] | str | socket.socket = (host, port)
    if listener is not None:
        address = listener
    elif unix_path is not None:
        address = os.fspath(unix_path)
    return WebSocketServer(address, make_handler_class(handler, check_request), config=config, **settings)


def make_handler_class(
    handler: Callable[[Connection], None] | type[WebSocketHandler] | Mapping[str, Callable[[Connection], None]],
    check: Callable[[Request], None] | None,
) -> type[WebSocketHandler]:
    """Return a handler class that calls these functions, or the given class. Raises UsageError if they could never work."""
    if check is not None:
        if isinstance(handler, type):
            raise UsageError("a WebSocketHandler class has its own check_request: give no other")
        check_function(check, "check_request", "the request")
    if isinstance(handler, type):
        return handler
    if isinstance(handler, Mapping):
        for routed in handler.values():
            check_function(routed, "the handler of a path", "the connection")
        return _routed(Routes(handler), check)
    check_function(handler, "a handler", "the connection")
    function: Callable[[Connection], object] = handler

    class FunctionHandler(WebSocketHandler):
        """Calls the functions."""

        def check_request(self, request: Request) -> None:
            return None if check is None else check(request)

        def handle(self) -> None:
            check_has_run(function(self.ws), "a handler")

    return FunctionHandler


class NoWebSockets(WebSocketHandler):
    """Refuses all requests for a WebSocket: the handler of a server that only has an HTTP application."""

    def check_request(self, request: Request) -> None:
        """Raise RequestRefused."""
        raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no WebSocket at this server.")

    def handle(self) -> None:
        """Never called."""
        raise AssertionError("no WebSocket is ever open")


def at_paths(handler: object, paths: Collection[str]) -> Mapping[str, Callable[[Connection], None]]:
    """Return a function as the handler of some paths. Raises UsageError if it is no function, or if there are no paths."""
    if not callable(handler) or isinstance(handler, type):
        raise UsageError(f"websocket_paths are for a function, not for {handler!r}")
    if isinstance(paths, str) or not paths:
        raise UsageError(f"websocket_paths must be a list of paths, not {paths!r}")
    return dict.fromkeys(paths, handler)


def _routed(routes: Routes, check: Callable[[Request], None] | None) -> type[WebSocketHandler]:
    class RoutedHandler(WebSocketHandler):
        """Calls the function that is for the path."""

        def check_request(self, request: Request) -> None:
            self.function, request.path_params = routes.find(request.path)
            return None if check is None else check(request)

        def handle(self) -> None:
            check_has_run(self.function(self.ws), "a handler")

    return RoutedHandler
