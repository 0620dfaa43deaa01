"""`serve`: a server for a handler that is a function."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Collection, Sequence

from wschat.connection.connection import Connection
from wschat.errors import UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate
from wschat.server.handlers import check_function, check_has_run
from wschat.server.proxies import PROXY_HEADERS
from wschat.server.requests import Request
from wschat.server.responses import HttpHandler
from wschat.server.server import DEFAULT_DEFLATE, WebSocketHandler, WebSocketServer


def serve(
    handler: Callable[[Connection], None] | type[WebSocketHandler],
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    unix_path: str | os.PathLike[str] | None = None,
    listener: socket.socket | None = None,
    check_request: Callable[[Request], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    subprotocols: Sequence[str] = (),
    origins: Collection[str] = (),
    allowed_hosts: Collection[str] = (),
    deflate: Deflate | None = DEFAULT_DEFLATE,
    tls: ssl.SSLContext | None = None,
    trusted_proxies: Collection[str] = (),
    proxy_header: str = PROXY_HEADERS[0],
    http: HttpHandler | None = None,
    path_prefix: str = "",
) -> WebSocketServer:
    """A server that listens and calls `handler` with each connection, in a thread of its own: run it with `serve_forever` or `start`.

    `handler` is a function of a `Connection`, or a `WebSocketHandler` class. It listens on host and port (0: any free one),
    or on a Unix socket, or on a socket that listens already. `check_request` is called with the `Request` of
    each opening, and may raise RequestRefused. The rest is `WebSocketServer`'s. Raises UsageError for what could never work, such as
    an `async def` handler, and OSError if the address cannot be had.
    """
    address: tuple[str, int] | str | socket.socket = (host, port)
    if listener is not None:
        address = listener
    elif unix_path is not None:
        address = os.fspath(unix_path)
    return WebSocketServer(
        address,
        make_handler_class(handler, check_request),
        limits=limits,
        subprotocols=subprotocols,
        origins=origins,
        allowed_hosts=allowed_hosts,
        deflate=deflate,
        tls=tls,
        trusted_proxies=trusted_proxies,
        proxy_header=proxy_header,
        http=http,
        path_prefix=path_prefix,
    )


def make_handler_class(
    handler: Callable[[Connection], None] | type[WebSocketHandler], check: Callable[[Request], None] | None
) -> type[WebSocketHandler]:
    """Return the class that calls these functions, or the given class. Raises UsageError if they could never work."""
    if check is not None:
        if isinstance(handler, type):
            raise UsageError("a WebSocketHandler class has a check_request of its own")
        check_function(check, "check_request", "the request")
    if isinstance(handler, type):
        return handler
    check_function(handler, "a handler", "the connection")
    function: Callable[[Connection], object] = handler

    class FunctionHandler(WebSocketHandler):
        """Calls a function."""

        def check_request(self, request: Request) -> None:
            return None if check is None else check(request)

        def handle(self) -> None:
            check_has_run(function(self.ws), "a handler")

    return FunctionHandler
