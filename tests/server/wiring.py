"""An `HttpConnection` without a server, over any socket."""

from __future__ import annotations

import socket

from wschat import Limits, Request
from wschat.connection.timers import Timers
from wschat.server.config import ServerConfig
from wschat.server.connections import Connections
from wschat.server.http_connection import HttpConnection
from wschat.server.http_settings import HttpSettings
from wschat.server.responses import HttpHandler


def http_connection(sock: socket.socket, *, limits: Limits | None = None, http: HttpHandler | None = None) -> HttpConnection:
    """Return a connection that serves any opening, and plain requests if `http` is given."""
    limits = limits or Limits()
    settings = HttpSettings(Connections(limits), Timers(), ServerConfig(limits=limits, deflate=None, http=http), None)
    return HttpConnection(settings, sock, None, accept_all)


def accept_all(request: Request) -> None:
    """Refuse no request."""


class PiecesSocket(socket.socket):
    """A socket that receives the given pieces one at a time, then the end of input, and records what is sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(socket.AF_UNIX)
        self._pieces = pieces
        self.sent = b""
        self.writes = 0

    def recv(self, max_bytes: int, flags: int = 0) -> bytes:
        if not self._pieces:
            return b""
        piece, self._pieces[0] = self._pieces[0][:max_bytes], self._pieces[0][max_bytes:]
        if not self._pieces[0]:
            del self._pieces[0]
        return piece

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]  # only bytes are sent
        self.sent += data
        self.writes += 1
