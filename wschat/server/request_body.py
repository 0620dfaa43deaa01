"""The body of an HTTP request as a stream (RFC 9112, section 6)."""

from __future__ import annotations

import contextlib
import io
import socket
from collections import deque
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

import h11

from wschat.errors import HttpConnectionClosed, RequestRefused
from wschat.server.requests import reason_of
from wschat.server.timeouts import PeerTimeout

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_INCOMPLETE_BYTES = 16 * 1024
"""The most that is kept of the line before a chunk, or of the trailers after the last one, while the rest is missing."""
# The most that is read from the socket at once: a read has a cost besides that of its bytes.
_READ_BYTES = 64 * 1024
# So many bytes have to arrive within the timeout: a client that sends a byte now and then must not hold a thread for hours.
_TIMED_BYTES = 16 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody(io.RawIOBase):
    """The body of one request. For the connection's own thread: reading waits for the client.

    Reading raises RequestRefused for a body that is too long (413) or not HTTP (400; HttpConnectionClosed once a response has begun), and
    HttpConnectionClosed if the client leaves. The client has `timeout` seconds for each 16 KiB; the time between reads does not count.
    """

    def __init__(self, http: h11.Connection, sock: socket.socket, peer_timeout: PeerTimeout, timeout: float, max_bytes: int = 0) -> None:
        """A body of more than `max_bytes` is refused with 413; 0 is no limit."""
        self._h11 = http
        self._socket = sock
        self._peer_timeout = peer_timeout
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._bytes = 0
        self._seconds_left = timeout
        self._bytes_until_reset = _TIMED_BYTES
        self._parts: deque[bytes] = deque()
        self._has_continued = False
        self.is_answered = False
        """True once a part of the response has been sent; set by the connection."""

    @property
    def is_received(self) -> bool:
        """True if the end of the body has been received."""
        return self._h11.their_state not in (h11.SEND_BODY, h11.ERROR)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait for a part of the body, unless it has ended."""
        view = memoryview(buffer).cast("B")
        part = self._next_part()
        taken = min(len(view), len(part))
        view[:taken] = part[:taken]
        if taken < len(part):
            self._parts.appendleft(part[taken:])
        return taken

    def keep_received(self) -> None:
        """Move what was received with the head, or with a part, out of the parser. Does not wait."""
        while not self.is_received and isinstance(event := self._next_event(), (h11.Data, h11.EndOfMessage)):
            if isinstance(event, h11.Data):
                self._bytes += len(event.data)
                self.check_length(self._bytes)
                self._parts.append(bytes(event.data))

    def following(self) -> bytes:
        """Return what was received after the body: the beginning of the next request."""
        return self._h11.trailing_data[0]

    def check_length(self, length: int) -> None:
        """Raise RequestRefused (413) if a body of this length is too long."""
        if self._max_bytes and length > self._max_bytes:
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body of a request may have {self._max_bytes} bytes.")

    def _next_part(self) -> bytes:
        """Return the next part of the body, b"" at its end."""
        while not self._parts and not self.is_received:
            self.keep_received()
            if not self._parts and not self.is_received:
                self._h11.receive_data(self._receive())
        return self._parts.popleft() if self._parts else b""

    def _next_event(self) -> object:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            if not self.is_answered:
                raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The body of the request is not right: {reason_of(error)}.") from None
            raise HttpConnectionClosed("the client sent a body that is not HTTP") from None

    def _send_continue(self) -> None:
        """Ask a client for the body that sends it only then (RFC 9110, section 10.1.1)."""
        if self._h11.they_are_waiting_for_100_continue and not (self._has_continued or self.is_answered):
            self._has_continued = True
            with contextlib.suppress(OSError):  # the next read finds that the client has left
                self._socket.sendall(_CONTINUE)

    def _receive(self) -> bytes:
        began_at = monotonic()
        if self._timeout:
            self._peer_timeout.start(max(0.001, self._seconds_left))
        self._send_continue()
        data = b""
        with contextlib.suppress(OSError):
            data = self._socket.recv(_READ_BYTES)
        self._peer_timeout.stop()
        if not data:
            raise HttpConnectionClosed("the client left before its request was complete")
        self._seconds_left -= monotonic() - began_at
        self._bytes_until_reset -= len(data)
        if self._bytes_until_reset <= 0:
            self._seconds_left, self._bytes_until_reset = self._timeout, _TIMED_BYTES
        return data
