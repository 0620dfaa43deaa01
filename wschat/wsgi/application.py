"""A handler as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wschat.connection.connection import Connection
from wschat.errors import RequestRefused
from wschat.server.handlers import check_function
from wschat.wsgi.opening import accept
from wschat.wsgi.responses import StartResponse, closing_response, refusing_response
from wschat.wsgi.running import run_handler
from wschat.wsgi.servers import WsgiEnviron


class WebSocketApp:
    """A WSGI application that opens a WebSocket for each request and calls a handler with it.

    `options` are those of `accept`. A request that is refused is answered with the reason. Raises UsageError for a handler that
    could never work.
    """

    def __init__(self, handler: Callable[[Connection], None], **options: Any) -> None:
        check_function(handler, "a handler", "the connection")
        self._handler = handler
        self._options = options

    def __call__(self, environ: WsgiEnviron, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request. Waits until the handler has returned; what that raises is raised after the WebSocket was closed (1011)."""
        try:
            ws = accept(environ, **self._options)
        except RequestRefused as refusal:
            return refusing_response(refusal, start_response)
        run_handler(self._handler, ws, environ)
        return closing_response(start_response)
