"""The reception: what happens on an accepted connection until it is a WebSocket, or is none and never will be.

TLS, the requests that are answered with plain HTTP, one after the other, and the opening, which ends it.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.connection.streams import open_stream
from wschat.connection.timers import Timers
from wschat.counters import counters
from wschat.errors import ConnectionClosed, RequestRefused
from wschat.protocol.frames import CloseCode
from wschat.server.addresses import host_of, is_loopback
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.config import ServerConfig
from wschat.server.connections import Connections
from wschat.server.handshake import Handshake
from wschat.server.logs import log_answered, log_opened, log_refusal, log_refused, shown
from wschat.server.origins import check_origin, cross_origin_headers, is_preflight, joined_headers
from wschat.server.refusals import linger, refuse
from wschat.server.requests import Exchange, Request
from wschat.server.responses import Dialogue, EventsResponse, HttpHandler, Response, error_response, response_later
from wschat.server.timeouts import PeerTimeout

logger = logging.getLogger("wschat.server")

# Programs know Retry-After; a browser that has asked for a page obeys Refresh (HTML, section 7.4.5), and comes again by itself.
_LATER = {"Retry-After": "10", "Refresh": "10"}
BUSY = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections just now.", _LATER)
STOPPING = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.", _LATER)
FAILED = RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "Something has gone wrong here; it is not your fault.")

# Two comments on a stream of events.
_UNACKNOWLEDGED_MS = 30_000
_ASKS_FOR_WEBSOCKET = re.compile(rb"\nupgrade:[^\n]*websocket", re.IGNORECASE)


@dataclass(frozen=True)
class Reception:
    """On what terms a server receives connections. Everything here is for the threads of the connections."""

    connections: Connections
    timers: Timers
    config: ServerConfig
    hosts: AllowedHosts | None
    """None for a server that answers to any name."""

    def open_websocket(self, sock: socket.socket, client_address: object, check_request: Callable[[Request], None]) -> Connection:
        """Answer the requests on a fresh connection until one opens a WebSocket.

        Raises RequestRefused, after having answered so, and ConnectionClosed if the peer left or took too long, or if all that
        was asked for has been answered.
        """
        arrival = _Arrival(self, sock, client_address, check_request)
        try:
            return arrival.open_websocket()
        except RequestRefused as refusal:
            exchange, in_json = arrival.exchange, self.config.http is not None and not arrival.is_opening
            refuse(sock, refusal, with_body=exchange.wants_body, in_json=in_json, to_events=exchange.wants_events)
            raise
        except OSError:
            raise ConnectionClosed(CloseCode.ABNORMAL, "left during the opening") from None
        finally:
            arrival.timeout_of_peer.close()


class _Arrival:
    """One connection until it is a WebSocket."""

    def __init__(self, reception: Reception, sock: socket.socket, client_address: object, check_request: Callable[[Request], None]) -> None:
        self._at = reception
        self._socket = sock
        self._client_address = client_address
        self._host = host_of(client_address)
        self._is_from_proxy = reception.config.proxies.include(self._host)
        self._check_request = check_request
        self.timeout_of_peer = PeerTimeout(reception.timers, lambda: reception.connections.cut(sock))
        self.exchange = Exchange(sock, reception.config.limits)
        self.is_opening = False
        """Whether a WebSocket has been asked for."""

    def open_websocket(self) -> Connection:
        if self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_of_peer.begin(self._at.config.limits.opening_timeout)
        if isinstance(self._socket, ssl.SSLSocket):
            _start_tls(self._socket, self._client_address)
        head = self._read_head(is_first=True)
        while self._at.config.http is not None and not _ASKS_FOR_WEBSOCKET.search(head):
            self._answer(self._at.config.http, head)
            self.timeout_of_peer.begin(self._at.config.limits.keep_alive_timeout)
            head = self._read_next_head()
        return self._open(head)

    def _read_head(self, *, is_first: bool) -> bytes:
        head = self.exchange.read_head()
        if self._at.connections.is_closing and (is_first or head is not None):
            raise STOPPING
        if head is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "left before the request was whole")
        return head

    def _read_next_head(self) -> bytes:
        """Read the head of a request that follows another one; until it is whole, the connection is idle."""
        self._at.connections.rest(self._socket, None if self._is_from_proxy else self._host)
        head = self._read_head(is_first=False)
        if not self._at.connections.resume(self._socket):
            raise BUSY
        return head

    def _open(self, head: bytes) -> Connection:
        """Answer an opening."""
        at, sock = self._at, self._socket
        self.is_opening = True
        handshake = Handshake(head, at.config.subprotocols)
        request = handshake.request.below(at.config.path_prefix)
        request.remote_address = self._remote_address(request)
        self._check_host(request)
        if "origin" in request.headers:
            check_origin(request.headers, at.config.parsed_origins, on_loopback=is_on_loopback(sock))
        self._check_request(request)  # a page of another origin could try passwords, and have its visitor locked out
        answer = handshake.answer(at.config.deflate)
        at.connections.answer(sock)
        sock.sendall(answer.response)
        ws = Connection(
            open_stream(sock),
            is_client=False,
            limits=at.config.limits,
            path=request.target,
            headers=request.headers,
            remote_address=request.remote_address,
            subprotocol=answer.subprotocol,
            deflate=answer.deflate,
            already_read=self.exchange.already_read,
            quotas=at.connections.quotas(sock),
        )
        ws.identity = request.identity
        log_opened(ws)
        at.connections.open(sock, ws)
        return ws

    def _answer(self, http: HttpHandler, head: bytes) -> None:
        """Answer a request that is no opening. Raises ConnectionClosed unless another one may follow."""
        dialogue = Dialogue(self._socket, self.exchange, head, self.timeout_of_peer, self._at.config.limits.send_timeout)
        response = self._response(http, dialogue)
        log_answered(self._client_address, dialogue.request, response.status)
        if response.status >= HTTPStatus.BAD_REQUEST:
            counters.count_refusal(f"{response.status:d}")
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE and self.exchange.wants_events:
            response = response_later(response)
        if isinstance(response, EventsResponse):
            self._send_events(dialogue, response)
            raise ConnectionClosed(CloseCode.NORMAL, "the events have ended")
        try:
            may_go_on = dialogue.answer(response)
        except ConnectionClosed:
            raise
        except Exception as error:  # whatever the body is made by, or what cannot be an answer
            if isinstance(error, RequestRefused) and not dialogue.has_begun:
                raise
            logger.exception("the answer to %s %s broke off", dialogue.request.method, shown(dialogue.request.path))
            if not dialogue.has_begun:
                raise FAILED from None
            dialogue.break_off()
            raise ConnectionClosed(CloseCode.ABNORMAL, "the answer broke off") from None
        if not may_go_on:
            self.timeout_of_peer.begin(self._at.config.limits.opening_timeout)
            linger(self._socket)
            raise ConnectionClosed(CloseCode.NORMAL, "all has been answered")

    def _response(self, http: HttpHandler, dialogue: Dialogue) -> Response | EventsResponse:
        """What is to be answered, whatever becomes of it."""
        request = dialogue.request
        headers: dict[str, str] = {}
        try:
            request = request.below(self._at.config.path_prefix)
            headers = self._check_page(request)
            if is_preflight(request):
                return Response(HTTPStatus.NO_CONTENT, headers=headers)
            dialogue.request.remote_address = request.remote_address = self._remote_address(request)
            response = http(request)
            if not isinstance(response, (Response, EventsResponse)):
                raise TypeError(f"a handler's answer is a Response or an EventsResponse, not {response!r}")
        except RequestRefused as refusal:
            response = error_response(refusal)
        except ConnectionClosed:
            if not self._at.connections.is_closing:
                raise
            response = error_response(STOPPING)  # the rest of the request was not waited for
        except Exception:
            logger.exception("the answer to %s %s failed", request.method, shown(request.path))
            response = error_response(FAILED)
        return replace(response, headers=joined_headers(response.headers, headers))

    def _check_page(self, request: Request) -> dict[str, str]:
        """Return the headers that let the page which asks read the answer. Raises RequestRefused (403, 421) if it may not ask."""
        try:
            self._check_host(request)
            if "origin" not in request.headers:
                return {}
            check_origin(request.headers, self._at.config.parsed_origins, on_loopback=is_on_loopback(self._socket))
        except RequestRefused as refusal:
            log_refusal(self._client_address, refusal)
            raise
        return cross_origin_headers(request, self._at.config.parsed_origins)

    def _check_host(self, request: Request) -> None:
        """Raise RequestRefused (421) if the request is for a name that is not ours. What a trusted proxy passes on is its own business."""
        hosts = self._at.hosts
        if hosts and (hosts.names or not self._is_from_proxy):
            hosts.check(request.headers)

    def _send_events(self, dialogue: Dialogue, response: EventsResponse) -> None:
        at, sock = self._at, self._socket
        dialogue.begin_events(response)
        if dialogue.request.method == "HEAD":
            return
        at.connections.answer(sock)
        _notice_who_vanishes(sock)
        request = dialogue.request
        stream = EventStream(
            open_stream(sock),
            limits=at.config.limits,
            path=request.target,
            remote_address=request.remote_address,
            quotas=at.connections.quotas(sock),
        )
        log_opened(stream)
        at.connections.open(sock, stream)
        try:
            response.follow(stream)
        finally:
            stream.begin_close()
            stream.wait()
            stream.release()

    def _remote_address(self, request: Request) -> object:
        """Who is at the other end, by the word of a proxy that is trusted."""
        if not self._is_from_proxy:
            return self._client_address
        vouched = self._at.config.proxies.vouched_address(request.headers, self._host or "")
        if vouched and not self._at.connections.count_for(self._socket, vouched):
            raise BUSY
        return (vouched, 0) if vouched else self._client_address


def _start_tls(sock: ssl.SSLSocket, client_address: object) -> None:
    try:
        sock.do_handshake()
    except OSError as error:
        log_refused(client_address, f"no TLS: {getattr(error, 'reason', None) or error}")
        raise ConnectionClosed(CloseCode.ABNORMAL, "the TLS handshake failed") from None


def _notice_who_vanishes(sock: socket.socket) -> None:
    """There are no pings on a stream of events: what is not acknowledged for this long will not be."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)


def is_on_loopback(sock: socket.socket) -> bool:
    """Return True if a socket is bound to an address that only this machine can reach."""
    return sock.family not in (socket.AF_INET, socket.AF_INET6) or is_loopback(sock.getsockname()[0])
