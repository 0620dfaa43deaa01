"""Plain HTTP on the port of a WebSocket server: a request that is no opening, and its answer (RFC 9110, RFC 9112).

What is answered is the business of an `HttpHandler`. Here is what goes with it whatever that is: the body of the request within
bounds, HEAD, keep-alive, pipelined requests, and peers that do not read what they have asked for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import ClassVar

import h11

from wschat.connection.event_stream import EventStream
from wschat.errors import ConnectionClosed, RequestRefused, UsageError
from wschat.protocol.frames import CloseCode
from wschat.server.refusals import JSON, NOSNIFF, error_content, events_later, json_body
from wschat.server.requests import Exchange, Request, next_request, reason_of, request_of
from wschat.server.timeouts import PeerTimeout

_READ_BYTES = 16 * 1024
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
# SO_LINGER: a struct of two shorts on Windows, and of two ints elsewhere.
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
# A peer that reads so much in `Limits.send_timeout` is not too slow.
_WRITE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Response:
    """An answer to an HTTP request.

    A body that is an iterable is sent as it comes, and asked for more only when that has been sent. Raises UsageError for a body that
    is a str.
    """

    status: int
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.body, str):
            raise UsageError("the body of a Response must be bytes, or an iterable of bytes, not a str: encode it")


@dataclass(frozen=True)
class EventsResponse:
    """An answer that goes on: `follow` is called with the open stream, in the connection's own thread, and is over when it returns."""

    status: ClassVar[int] = HTTPStatus.OK
    follow: Callable[[EventStream], None]
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """An answer for programs."""
    return Response(status, json_body(content), {"Content-Type": JSON, **(headers or {})})


def error_response(refusal: RequestRefused, code: str | None = None) -> Response:
    """The answer that says no: a code for programs, and a sentence for people."""
    return json_response(refusal.status, error_content(refusal, code), {**NOSNIFF, **refusal.headers})


def response_later(response: Response | EventsResponse) -> Response:
    """Return what an EventSource is told instead of this 503."""
    headers, body = events_later(response.headers)
    return Response(HTTPStatus.OK, body, {**response.headers, **headers})


HttpHandler = Callable[[Request], Response | EventsResponse]
"""What answers plain requests, in the connection's own thread. May raise RequestRefused, which becomes an answer in JSON."""


class Dialogue:
    """One request that is no opening, and its answer. For the connection's own thread; waits for the peer.

    `timeout_of_peer` with the peer has begun, and ends when the request is here; each part of the answer has `send_timeout` seconds.
    Raises RequestRefused (400, 501, 505) for what cannot be answered in HTTP.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange, head: bytes, timeout_of_peer: PeerTimeout, send_timeout: float) -> None:
        self._socket = sock
        self._exchange = exchange
        self._patience = timeout_of_peer
        self._send_timeout = send_timeout
        self.has_begun = False
        """Whether something of the answer has been sent."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=max(len(head), _READ_BYTES))
        self._http.receive_data(head + exchange.already_read)
        exchange.already_read = b""
        self._event = next_request(self._http)
        self.request = request_of(self._event)
        self.request.body_reader = self.read_body
        if self.request.method == "CONNECT":  # whose answer would not end, whatever the handler says
            raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "This is not a proxy.")
        if {"content-length", "transfer-encoding"} <= self.request.headers.keys():
            # Where another server has understood it in the other way, the next request would be a part of this body.
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "A request has a Content-Length or a Transfer-Encoding, not both.")
        if not self.request.headers.keys() & {"content-length", "transfer-encoding"}:
            self._skip_what_is_there()  # which is the end of it

    def read_body(self, max_bytes: int) -> bytes:
        """The body. Raises RequestRefused (400, 413), and ConnectionClosed if the peer leaves."""
        too_large = RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body of a request may have {max_bytes} bytes here.")
        if int(self.request.headers.get("content-length", 0)) > max_bytes:  # h11 has seen to it that it is a number
            raise too_large
        if self._http.they_are_waiting_for_100_continue:
            event = h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[], reason="Continue")
            self._socket.sendall(self._http.send(event) or b"")
        body = b""
        for part in self._parts_of_body():
            body += part
            if len(body) > max_bytes:
                raise too_large
        return body

    def answer(self, response: Response) -> bool:
        """Send this; whether another request may follow on the connection.

        Raises ConnectionClosed if the peer does not take it, RequestRefused (400) for a body that nobody has read and that is
        none, and whatever the body of the answer raises.
        """
        self._skip_what_is_there()
        self._patience.end()
        headers = {"Date": formatdate(usegmt=True), **response.headers}
        if isinstance(response.body, bytes) and response.status not in _WITHOUT_BODY:
            headers["Content-Length"] = str(len(response.body))
        if self._http.their_state in (h11.SEND_BODY, h11.ERROR):
            headers["Connection"] = "close"  # the rest of the request may be of any length
        reason = responses.get(response.status, "")
        # As bytes: what a page of any origin is told of itself need not be ASCII.
        raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        # With the first part of the body: a small answer is one packet.
        data = self._http.send(h11.Response(status_code=response.status, headers=raw_headers, reason=reason)) or b""
        if self._event.method != b"HEAD":
            for part in _pieces(response.body):
                self._write(data + (self._http.send(h11.Data(data=part)) or b""))
                data = b""
        self._write(data + (self._http.send(h11.EndOfMessage()) or b""))
        self._exchange.already_read = self._http.trailing_data[0]
        return (self._http.our_state, self._http.their_state) == (h11.DONE, h11.DONE)

    def break_off(self) -> None:
        """Have nobody take what was sent of an answer for all of it: without chunks, it is whole when the connection ends."""
        if self._event.http_version == b"1.0":
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)  # that is, with a reset
                self._socket.close()

    def begin_events(self, response: EventsResponse) -> None:
        """Send the head of an answer that ends with the connection."""
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx would keep events to itself until there are many
            "Connection": "close",
            **response.headers,
        }
        # By hand: h11 would have it in chunks, and what is sent to many is made once.
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._write("\r\n".join(lines).encode("latin-1"))

    def _parts_of_body(self) -> Iterator[bytes]:
        while self._http.their_state is h11.SEND_BODY:
            event = self._next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(self._receive())
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
        self._patience.end()

    def _skip_what_is_there(self) -> None:
        """Pass over what has come of a body that nobody has read."""
        while self._http.their_state is h11.SEND_BODY and isinstance(self._next_event(), (h11.Data, h11.EndOfMessage)):
            pass
        if self._http.their_state is not h11.SEND_BODY:
            self._patience.end()

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._http.our_state is h11.SEND_RESPONSE:
                raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The body of the request is not right: {reason_of(error)}.") from None
            raise ConnectionClosed(CloseCode.ABNORMAL, "sent what is not HTTP") from None

    def _receive(self) -> bytes:
        data = b""
        with contextlib.suppress(OSError):
            data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionClosed(CloseCode.ABNORMAL, "left before the request was whole")
        return data

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self.has_begun = True
        self._patience.begin(self._send_timeout)
        try:
            self._socket.sendall(data)
        except OSError:
            raise ConnectionClosed(CloseCode.ABNORMAL, "left during an answer") from None
        finally:
            self._patience.end()


def _pieces(body: bytes | Iterable[bytes]) -> Iterator[bytes]:
    for part in [body] if isinstance(body, bytes) else body:
        for start in range(0, len(part), _WRITE_BYTES):
            yield part[start : start + _WRITE_BYTES]
