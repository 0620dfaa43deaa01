"""An accepted connection while it speaks HTTP: TLS, plain requests with their responses, and the opening handshake that ends it.

A request passes `HttpConnection`, which parses it into a `Request`; the application, which returns a `Response`; and
`HttpConnection` again, which writes that (RFC 9110, RFC 9112). What a WebSocket or an event stream does belongs elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import h11

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.connection.streams import open_stream
from wschat.counters import counters, refusal_of
from wschat.errors import ConnectionClosed, HttpConnectionClosed, RequestRefused
from wschat.server.addresses import host_of
from wschat.server.handshake import Handshake
from wschat.server.http_settings import HttpSettings
from wschat.server.logs import log_answered, log_opened, log_refused, shown
from wschat.server.origins import is_preflight, joined_headers
from wschat.server.proxy_protocol import receive_client
from wschat.server.refusals import BUSY, FAILED, STOPPING, encode_refusal
from wschat.server.request_body import MAX_INCOMPLETE_BYTES, RequestBody
from wschat.server.requests import END_OF_HEAD, Request, accepts_events, parse_plain, parse_simple
from wschat.server.response_writer import ResponseWriter
from wschat.server.responses import EventsResponse, Response, WrittenResponse, encode_events, error_response, retry_response
from wschat.server.timeouts import PeerTimeout
from wschat.server.tls import do_handshake
from wschat.server.wsgi import Gateway

logger = logging.getLogger("wschat.server")

_ASKS_FOR_WEBSOCKET = re.compile(rb"\nupgrade:[^\n]*websocket", re.IGNORECASE)
_HEAD_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_READ_HEAD_BYTES = 4096
_SEND_FILE_BYTES = 1 << 20
_UNLIMITED_BYTES = 1 << 30
_MAX_LINGER_BYTES = 1 << 20  # how much is still read of a request after its last response
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # SO_LINGER with a timeout of 0: two shorts on Windows, else ints
_UNACKNOWLEDGED_MS = 30_000  # an event stream has no pings: a peer that acknowledges nothing for as long as two comments take is gone


class HttpConnection:
    """One connection until it is a WebSocket. For the connection's own thread: methods wait for the peer."""

    def __init__(
        self, settings: HttpSettings, sock: socket.socket, client_address: object, check_request: Callable[[Request], None]
    ) -> None:
        """`check_request` is called with each opening request, and raises RequestRefused to refuse it."""
        self._settings = settings
        self._socket = sock
        self._client_address = client_address
        self._is_from_proxy = bool(settings.config.proxies.networks) and settings.config.proxies.include(host_of(client_address))
        self._has_many_clients = self._is_from_proxy and not settings.config.proxies.use_proxy_protocol  # each request names its own
        self._check_request = check_request
        self._scheme = "https" if isinstance(sock, ssl.SSLSocket) else "http"
        self._can_send_files = self._scheme == "http" and hasattr(os, "sendfile")
        self._timeout = PeerTimeout(settings.timers, lambda: settings.connections.abort_http(sock))
        self._head = b""
        self._received = b""  # beyond the head or the request: the next request begins with it
        self._has_answered = self._is_opening = False
        self._body: RequestBody | None = None  # that of the current plain request, if it has one
        self._wsgi: Gateway | None = None  # made for the first request to the WSGI application

    def open_websocket(self) -> Connection:
        """Answer requests until one of them opens a WebSocket.

        Raises RequestRefused after the refusal was sent, and HttpConnectionClosed if the connection ends without a WebSocket.
        """
        try:
            return self._answer_until_websocket()
        except RequestRefused as refusal:
            self._refuse(refusal)
            raise
        except OSError:
            raise HttpConnectionClosed("the client left during the opening handshake") from None
        finally:
            self._timeout.close()

    def _answer_until_websocket(self) -> Connection:
        settings = self._settings
        if isinstance(self._client_address, tuple):  # TCP, and not a Unix socket
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout.start(settings.config.limits.opening_timeout)
        if self._is_from_proxy and not self._has_many_clients:
            client = receive_client(self._socket, self._client_address, settings.connections)
            self._client_address, self._scheme = client.address, client.scheme or self._scheme
        if isinstance(self._socket, ssl.SSLSocket):
            do_handshake(self._socket, self._client_address)
        head = self.read_head()
        while settings.config.has_http and not _ASKS_FOR_WEBSOCKET.search(head):
            self._answer(head)
            head = self._read_next_head()
        self._is_opening = True
        return self._upgrade(head)

    # Reading requests

    def read_head(self) -> bytes:
        """Receive the head of the next request, blank line included. Bytes that cannot become a request are returned at once.

        Raises RequestRefused (431, or 503 if the server is stopping), and HttpConnectionClosed if the client leaves.
        """
        limits, connections = self._settings.config.limits, self._settings.connections
        # Some clients send a line end after a body (RFC 9112, section 2.2).
        self._head, received = b"", self._received.lstrip(b"\r\n")
        left = (limits.max_head_bytes or _UNLIMITED_BYTES) - len(received)
        while not (end := END_OF_HEAD.search(received)):
            if left <= 0:
                raise RequestRefused(_HEAD_TOO_LARGE, f"A request's head may have {limits.max_head_bytes} bytes.")
            data = self._socket.recv(min(_READ_HEAD_BYTES, left))
            if not data:
                if connections.is_closing and not self._has_answered:
                    raise STOPPING
                raise HttpConnectionClosed("the client left before its request was complete")
            left -= len(data)
            received = (received + data).lstrip(b"\r\n")
            if received and not received[:1].isalpha():
                self._received = b""
                return received
        self._head, self._received = received[: end.end()], received[end.end() :]
        if limits.max_headers and self._head.count(b"\n") - 2 > limits.max_headers:
            raise RequestRefused(_HEAD_TOO_LARGE, f"A request may have {limits.max_headers} headers.")
        if connections.is_closing:
            raise STOPPING
        return self._head

    def _read_next_head(self) -> bytes:
        """Receive the head of a request that follows another. The connection is idle until it is complete."""
        connections = self._settings.connections
        self._has_answered = True
        self._timeout.start(self._settings.config.limits.keep_alive_timeout)
        connections.mark_idle(self._socket, None if self._has_many_clients else host_of(self._client_address))
        head = self.read_head()
        if not connections.mark_active(self._socket):
            raise BUSY
        return head

    def _parse(self, head: bytes) -> Request:
        """Parse the head of a plain request. Raises RequestRefused (400, 501, 505)."""
        self._body = None
        request = parse_simple(head)
        if request is None:
            http = h11.Connection(h11.SERVER, max_incomplete_event_size=max(len(head), MAX_INCOMPLETE_BYTES))
            http.receive_data(head)
            request = parse_plain(http)
            if "content-length" in request.headers or "transfer-encoding" in request.headers:
                self._begin_body(request, http)
        self._timeout.stop()
        return request

    def _begin_body(self, request: Request, http: h11.Connection) -> None:
        limits = self._settings.config.limits
        if self._received:  # h11 takes b"" for the end of the stream
            http.receive_data(self._received)
            self._received = b""
        request.body = self._body = RequestBody(http, self._socket, self._timeout, limits.opening_timeout, limits.max_body_bytes)
        self._body.check_length(int(request.headers.get("content-length", 0)))
        self._body.keep_received()

    # Checking requests

    def _check_page(self, request: Request) -> dict[str, str]:
        """Return the headers that let the requesting page read the response. Raises RequestRefused (403, 421) if it may not."""
        try:
            return self._settings.page_headers(request, self._socket, is_from_proxy=self._is_from_proxy)
        except RequestRefused as refusal:
            log_refused(self._client_address, refusal)
            raise

    def _set_client(self, request: Request) -> None:
        """Set the client's address and the scheme, taken from the headers of a trusted proxy if the peer is one."""
        request.remote_address, request.scheme = self._client_address, self._scheme
        if self._has_many_clients:
            proxies = self._settings.config.proxies
            request.scheme = proxies.client_scheme(request.headers, self._scheme)
            address = proxies.client_address(request.headers, host_of(self._client_address) or "")
            if address and not self._settings.connections.set_address(self._socket, address):
                raise BUSY
            request.remote_address = (address, 0) if address else self._client_address

    # Answering plain requests

    def _answer(self, head: bytes) -> None:
        """Answer a plain request. Raises HttpConnectionClosed unless another one may follow."""
        request = self._parse(head)
        response = self._call(request)
        if not isinstance(response, WrittenResponse):
            self._note_answered(logging.DEBUG, self._client_address, request, response.status)
        if isinstance(response, EventsResponse):
            self._send_events(request, response)
            raise HttpConnectionClosed("the event stream has ended")
        if isinstance(response, Response) and response.status == HTTPStatus.SERVICE_UNAVAILABLE and accepts_events(head):
            response = retry_response(response)
        if not self._send(request, response):
            self._timeout.start(self._settings.config.limits.opening_timeout)
            self._linger()
            raise HttpConnectionClosed("the last response has been sent")
        if self._body is not None:
            self._received = self._body.following()

    def _note_answered(self, level: int, address: object, request: Request, status: int) -> None:
        log_answered(level, address, request, status)
        if status >= HTTPStatus.BAD_REQUEST:
            counters.count_refusal(refusal_of(status))

    def _call(self, request: Request) -> Response | EventsResponse | WrittenResponse:
        """Return the response of the application that the request is for, or that of a refusal or an error."""
        config = self._settings.config
        http = config.http
        if http is None or (config.wsgi is not None and not request.is_below(config.path_prefix)):
            return self._call_wsgi(request)
        headers: dict[str, str] = {}
        try:
            inner = request.below(config.path_prefix)
            headers = self._check_page(inner)
            if is_preflight(inner):
                return Response(HTTPStatus.NO_CONTENT, headers=headers)
            self._set_client(inner)
            request.remote_address = inner.remote_address
            response = http(inner)
            if not isinstance(response, (Response, EventsResponse)):
                raise TypeError(f"an HTTP handler must return a Response or an EventsResponse, not {response!r}")
        except RequestRefused as refusal:
            response = error_response(refusal)
        except HttpConnectionClosed:
            if not self._settings.connections.is_closing:
                raise
            response = error_response(STOPPING)  # the server, not the client, cut the body short
        except Exception:
            logger.exception("the answer to %s %s failed", request.method, shown(request.path))
            response = error_response(FAILED)
        return replace(response, headers=joined_headers(response.headers, headers)) if headers else response

    def _call_wsgi(self, request: Request) -> Response | WrittenResponse:
        """Return the response of the WSGI application, which decides about origins by itself, or that of a refusal."""
        try:
            self._settings.check_host(request, is_from_proxy=self._is_from_proxy)
            self._set_client(request)
        except RequestRefused as refusal:
            log_refused(self._client_address, refusal)
            return error_response(refusal)
        if self._wsgi is None:
            assert self._settings.config.wsgi is not None
            self._wsgi = Gateway(self._settings.config.wsgi, self._socket.getsockname())
        return WrittenResponse(partial(self._respond_wsgi, self._wsgi, request))

    def _respond_wsgi(self, gateway: Gateway, request: Request, writer: ResponseWriter) -> None:
        try:
            gateway.respond(request, writer)
        finally:
            if writer.status is not None:
                self._note_answered(logging.INFO, request.remote_address, request, writer.status)

    def _send(self, request: Request, response: Response | WrittenResponse) -> bool:
        """Write a response. Return True if another request may follow.

        Raises HttpConnectionClosed if the client does not take it, or if it fails after it has begun, and RequestRefused if it
        fails before: 400 for a body of the request that is not HTTP, 500 for an error in the response.
        """
        send_file = self._write_file if self._can_send_files else None
        writer = ResponseWriter(request, self._may_follow, self._write, send_file)
        try:
            if self._body is not None:
                self._body.keep_received()
            response.write_to(writer)
        except HttpConnectionClosed:
            raise
        except Exception as error:
            if isinstance(error, RequestRefused) and not writer.has_begun:
                raise
            logger.exception("the answer to %s %s broke off", request.method, shown(request.path))
            if not writer.has_begun:
                raise FAILED from None
            self._break_off(request)
            raise HttpConnectionClosed("the response broke off") from None
        return writer.keeps_alive

    def _may_follow(self) -> bool:
        """Return True if another request may follow the current one: the rest of an unread body may be of any length."""
        return (self._body is None or self._body.is_received) and not self._settings.connections.is_closing

    def _break_off(self, request: Request) -> None:
        """Make an incomplete response look incomplete. Without chunks, the end of the connection would complete it."""
        if request.version == "1.0":
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self._socket.close()

    def _send_events(self, request: Request, response: EventsResponse) -> None:
        """Send an event stream until either side ends it."""
        self._timeout.stop()
        self._write(encode_events(response, with_start=request.method != "HEAD"))
        if request.method == "HEAD":
            return
        settings, sock = self._settings, self._socket
        quotas = settings.connections.begin_upgrade(sock)
        if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        address = request.remote_address
        stream = EventStream(open_stream(sock), limits=settings.config.limits, path=request.target, remote_address=address, quotas=quotas)
        log_opened(stream)
        settings.connections.set_peer(sock, stream)
        try:
            with contextlib.suppress(ConnectionClosed):  # a send after the end of the stream
                response.follow(stream)
        finally:
            stream.begin_close()
            stream.wait()
            stream.release()

    def _write(self, data: bytes) -> None:
        """Send a part of a response within `Limits.send_timeout`."""
        if self._body is not None:
            self._body.is_answered = True
        self._timeout.start(self._settings.config.limits.send_timeout)
        try:
            self._socket.sendall(data)
        except OSError:
            raise HttpConnectionClosed("the client left during a response") from None
        finally:
            self._timeout.stop()

    def _write_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send a part of a file, with `Limits.send_timeout` for each mebibyte."""
        while count > 0:
            self._timeout.start(self._settings.config.limits.send_timeout)
            try:
                sent = os.sendfile(self._socket.fileno(), descriptor, offset, min(count, _SEND_FILE_BYTES))
            except OSError:
                raise HttpConnectionClosed("the client left during a response") from None
            finally:
                self._timeout.stop()
            if not sent:
                raise EOFError("the file has become shorter while it was sent")
            offset, count = offset + sent, count - sent

    # The end

    def _upgrade(self, head: bytes) -> Connection:
        """Answer an opening request with 101, and return the WebSocket. Raises RequestRefused."""
        settings, sock = self._settings, self._socket
        handshake = Handshake(head, settings.config.subprotocols)
        request = handshake.request.below(settings.config.path_prefix)
        self._set_client(request)
        settings.check_page(request, sock, is_from_proxy=self._is_from_proxy)
        self._check_request(request)  # after the origin: a foreign page must not try passwords and have its visitor locked out
        accepted = handshake.accept(settings.config.deflate)
        quotas = settings.connections.begin_upgrade(sock)
        sock.sendall(accepted.response)
        ws = Connection(
            open_stream(sock),
            is_client=False,
            limits=settings.config.limits,
            path=request.target,
            headers=request.headers,
            remote_address=request.remote_address,
            subprotocol=accepted.subprotocol,
            deflate=accepted.deflate,
            already_read=self._received,
            quotas=quotas,
        )
        ws.identity, ws.path_params, ws.scheme = request.identity, request.path_params, request.scheme
        log_opened(ws)
        settings.connections.set_peer(sock, ws)
        return ws

    def _refuse(self, refusal: RequestRefused) -> None:
        """Send a refusal as the last response."""
        counters.count_refusal(refusal_of(refusal.status))
        log_refused(self._client_address, refusal)
        response = encode_refusal(
            refusal,
            with_body=not self._head.startswith(b"HEAD "),
            as_json=self._settings.config.has_http and not self._is_opening,
            for_event_source=accepts_events(self._head),
        )
        with contextlib.suppress(OSError, ValueError):  # the client has left
            self._socket.sendall(response)
            self._linger()

    def _linger(self) -> None:
        """End the output, and read until the client leaves: closing with unread input would reset the connection and lose the response."""
        with contextlib.suppress(OSError, ValueError):  # the client has left; ValueError is that of a closed TLS object
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            left = _MAX_LINGER_BYTES
            while left > 0 and (data := self._socket.recv(_READ_HEAD_BYTES)):
                left -= len(data)
