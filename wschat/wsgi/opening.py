"""`accept`: the opening handshake of a WebSocket inside another WSGI server (RFC 6455, section 4.2)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from time import monotonic

from wschat.connection.connection import Connection
from wschat.connection.timers import Timer
from wschat.errors import RequestRefused, UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate
from wschat.server.addresses import is_on_loopback
from wschat.server.config import DEFAULT_DEFLATE, ServerConfig
from wschat.server.connections import Connections
from wschat.server.handshake import Acceptance, Handshake
from wschat.server.logs import log_closed, log_opened
from wschat.server.origins import check_origin
from wschat.server.refusals import BUSY
from wschat.server.requests import Request
from wschat.wsgi.borrowed import borrow_stream
from wschat.wsgi.gunicorn import close_all_with_worker
from wschat.wsgi.open_connections import connections_for
from wschat.wsgi.requests import describe, head_of
from wschat.wsgi.servers import GUNICORN_SOCKET, WsgiEnviron, socket_of

HOSTED = "wschat.hosted"
"""The key of a function that returns the connection, which wschat's own server has opened already (see `hosting`)."""

_OPENED = "wschat.opened"  # in the environ of a request whose WebSocket was opened


def accept(
    environ: WsgiEnviron,
    *,
    subprotocols: Sequence[str] = (),
    origins: Collection[str] = (),
    check_request: Callable[[Request], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    deflate: Deflate | None = DEFAULT_DEFLATE,
) -> Connection:
    """Open the WebSocket that a request asks for, and return it. Use it in a `with` block, in the thread of the request.

    The arguments are those of `serve`. Nothing can be sent to the client after the end of the WebSocket: respond with
    `closing_response`. Raises RequestRefused before anything was sent if the request opens no WebSocket (400, 405, 426), comes from a
    page that may not connect (403), is refused by `check_request`, or exceeds a limit (503): respond with its status. Raises
    UsageError for an invalid argument, a request whose WebSocket is open already, or a server that hands out no socket or has no threads.
    """
    if _OPENED in environ:
        raise UsageError("the WebSocket of this request is open already: pass the connection on, and call accept(environ) once")
    config = ServerConfig(subprotocols=subprotocols, origins=origins, limits=limits, deflate=deflate)
    if (protocol := environ["SERVER_PROTOCOL"]).startswith("HTTP/2"):  # its socket carries other requests, too
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"A WebSocket is opened with HTTP/1.1, not with {protocol}.")
    handshake = Handshake(head_of(environ), config.subprotocols)
    request = describe(handshake.request, environ)
    accepted = handshake.accept(config.deflate)
    hosted: Callable[[], Connection] | None = environ.get(HOSTED)
    if hosted is None:
        sock = socket_of(environ)
        check_origin(request.headers, config.parsed_origins, on_loopback=is_on_loopback(sock))
    if check_request is not None and (result := check_request(request)) is not None:
        raise UsageError(f"check_request must raise RequestRefused or return None; it returned {result!r}")
    environ[_OPENED] = True
    if hosted is not None:
        ws = hosted()
        ws.path, ws.identity = request.target, request.identity
        return ws
    if GUNICORN_SOCKET in environ:
        close_all_with_worker()
    return _open(sock, request, accepted, config)


def _open(sock: socket.socket, request: Request, accepted: Acceptance, config: ServerConfig) -> Connection:
    """Send 101, and return the connection. Raises RequestRefused (503)."""
    connections = connections_for(config.limits)
    address = request.remote_address
    if not connections.add(sock, address[0] if isinstance(address, tuple) else None):
        raise BUSY
    try:
        quotas = connections.begin_upgrade(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(accepted.response)
        ws = _Accepted(
            borrow_stream(sock),
            is_client=False,
            limits=config.limits,
            path=request.target,
            headers=request.headers,
            remote_address=address,
            subprotocol=accepted.subprotocol,
            deflate=accepted.deflate,
            quotas=quotas,
        )
    except BaseException:
        connections.remove(sock)
        raise
    ws.identity, ws.scheme = request.identity, request.scheme
    ws.on_release = partial(_remove, connections, sock, ws, monotonic())
    log_opened(ws)
    connections.set_peer(sock, ws)
    return ws


def _remove(connections: Connections, sock: socket.socket, ws: Connection, opened_at: float) -> None:
    try:
        log_closed(ws, monotonic() - opened_at)
    finally:
        connections.remove(sock)  # last: a worker that stops waits for this


class _Accepted(Connection):
    """A connection that no server of wschat knows: it tells when it has ended."""

    on_release: Callable[[], None] | None = None

    def _release(self, *timers: Timer | None) -> None:
        super()._release(*timers)
        if self.on_release is not None:
            self.on_release()
            self.on_release = None
