"""One HTTP request on a socket and its response (RFC 9112), from a server or a proxy."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses

import h11

from wschat.client.deadline import DeadlinePassed, TimedSocket
from wschat.client.escapes import printable
from wschat.client.failures import explained
from wschat.connection.streams import was_interrupted
from wschat.errors import OpeningFailed

_READ_BYTES = 16 * 1024
_MAX_BODY_BYTES = 256 * 1024
_MAX_LINE = 200  # characters of a body in the text of an error
_UNLIMITED = 1 << 30
# The beginning of a TLS record with an alert, with which a TLS server responds to HTTP (RFC 8446, section 5.1).
_TLS_ALERT = b"\x15\x03"


@dataclass(frozen=True)
class Response:
    """The head of a response."""

    status: int
    """The status code."""
    reason: str
    """The reason phrase, which may be empty."""
    headers: dict[str, str]
    """The headers by name in lower case. Values of equal names are joined by commas."""
    set_cookies: list[str]
    """The values of Set-Cookie, which must not be joined (RFC 6265, section 3)."""


class Exchange:
    """A request and its response. For one thread. Each call waits for the peer, until the deadline of the socket."""

    def __init__(self, sock: TimedSocket, place: str, max_head_bytes: int) -> None:
        self._socket = sock
        self._place = place
        self._max_head_bytes = max_head_bytes
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head_bytes or _UNLIMITED)
        self._first_bytes = b""

    def ask(self, request: h11.Request, head: bytes | None = None) -> Response:
        """Send a request without a body, and return the head of the response. `head` replaces the head that h11 makes.

        Raises OSError if the connection is lost, DeadlinePassed, and OpeningFailed if the response is not HTTP.
        """
        made = self._http.send(request) or b""
        self._http.send(h11.EndOfMessage())
        try:
            self._send(head or made)
            event = self._next_event()
            while isinstance(event, h11.InformationalResponse) and event.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
                event = self._next_event()
        except DeadlinePassed:
            raise
        except OSError as error:
            raise explained(error, self._place) from None
        except h11.RemoteProtocolError as error:
            raise OpeningFailed(self._not_http(error)) from None
        assert isinstance(event, (h11.Response, h11.InformationalResponse))
        return _response(event)

    def read_body(self) -> bytes:
        """Return the body of the response, or its beginning if it is incomplete, late or too long."""
        body = b""
        try:
            while len(body) < _MAX_BODY_BYTES and isinstance(event := self._next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            pass
        except OSError as error:
            if was_interrupted(error):
                raise
        return body[:_MAX_BODY_BYTES]

    def already_read(self) -> bytes:
        """Return the bytes received after a response that ends HTTP on the connection."""
        return self._http.trailing_data[0]

    def failure(self, response: Response) -> OpeningFailed:
        """Return the error for a response that opens nothing, with its status, its body and the first line of its body."""
        body = self.read_body()
        text = f"{self._place} answered {response.status} {response.reason or responses.get(response.status, '')}".rstrip()
        is_html = "html" in response.headers.get("content-type", "")  # the first line of a page says nothing
        line = "" if is_html else next((line.strip() for line in body.decode(errors="replace").splitlines() if line.strip()), "")
        if len(line) > _MAX_LINE:
            line = f"{line[:_MAX_LINE]}..."
        return OpeningFailed(printable(f"{text}: {line}" if line else text), response.status, response.headers, body)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            # A peer that closed the connection may have sent a response or a TLS alert before, which is still to be read.
            if was_interrupted(error):
                raise

    def _next_event(self) -> object:
        """Wait for the next event, and return it. Raises h11.RemoteProtocolError."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = self._socket.recv(_READ_BYTES)
            self._first_bytes = self._first_bytes or data[:64]
            self._http.receive_data(data)
        return event

    def _not_http(self, error: h11.RemoteProtocolError) -> str:
        if not self._first_bytes:
            return f"{self._place} closed the connection without a response"
        if self._first_bytes.startswith(_TLS_ALERT):
            return f"{self._place} speaks TLS: use wss:// instead of ws://"
        if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            return f"the head of the response of {self._place} has more than {self._max_head_bytes} bytes"
        line = self._first_bytes.splitlines()[0].decode("latin-1")
        return f"{self._place} does not answer in HTTP ({str(error).partition(': ')[0]}): {line!r}"


def _response(event: h11.Response | h11.InformationalResponse) -> Response:
    headers: dict[str, str] = {}
    set_cookies: list[str] = []
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if name == "set-cookie":
            set_cookies.append(value)
    return Response(event.status_code, event.reason.decode("latin-1"), headers, set_cookies)
