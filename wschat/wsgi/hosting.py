"""Routes of a WSGI application in wschat's own server, which opens the WebSockets itself and gives the application all other requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.client import responses
from typing import Any

from wschat.connection.connection import Connection
from wschat.protocol.frames import CloseCode
from wschat.server.requests import Request
from wschat.server.response_writer import ResponseWriter
from wschat.server.wsgi import Gateway, WsgiApp
from wschat.wsgi.opening import HOSTED
from wschat.wsgi.responses import StartResponse


def handler_for(app: WsgiApp) -> Callable[[Connection], None]:
    """Return a handler that gives WebSockets to an application whose routes call `accept`: `serve(handler_for(app), wsgi=app)`.

    The server has opened the WebSocket when the application is called, so `subprotocols`, `origins`, `limits` and `deflate` are those
    of `serve`. If the application responds otherwise, as to an unknown path, the WebSocket is closed with 1008 and the status.
    """

    def handle(ws: Connection) -> None:
        hosted = _Hosted(ws)
        request = _request_of(ws)
        response = _UnsentResponse(request)
        Gateway(hosted.wrap(app), None).respond(request, response)
        if not hosted.is_taken:
            status = response.status or 500
            ws.close(CloseCode.POLICY_VIOLATION, f"{status} {responses.get(status, '')}".rstrip())

    return handle


class _Hosted:
    """An open WebSocket that an application may take with `accept`."""

    def __init__(self, ws: Connection) -> None:
        self._ws = ws
        self.is_taken = False

    def take(self) -> Connection:
        self.is_taken = True
        return self._ws

    def wrap(self, app: WsgiApp) -> WsgiApp:
        """Return the application with the WebSocket in its environ."""

        def hosting(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            return app({**environ, HOSTED: self.take}, start_response)

        return hosting


class _UnsentResponse(ResponseWriter):
    """The response to a request whose connection has become a WebSocket. Only its status is of use."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, lambda: True, lambda _: None, None)

    def begin(self, status: int, headers: Iterable[tuple[str, str]], reason: str | None = None) -> None:
        self.status = status

    def write(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        self.has_ended = True


def _request_of(ws: Connection) -> Request:
    """Return the request that opened a connection."""
    return Request("GET", ws.path, dict(ws.headers), remote_address=ws.remote_address, scheme=ws.scheme)
