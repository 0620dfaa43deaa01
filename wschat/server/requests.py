"""HTTP requests: a head that is read, and what it asks for.

The grammar is h11's business. What makes a request an opening is in `opening`, how one is refused in `refusals`, how one that
is no opening is answered in `answers`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import parse_qsl

import h11

from wschat.errors import RequestRefused, UsageError
from wschat.limits import Limits

_READ_BYTES = 4096
_UNLIMITED = 1 << 30
_ACCEPTS_EVENTS = re.compile(rb"\naccept:[^\n]*text/event-stream", re.IGNORECASE)
END_OF_HEAD = re.compile(rb"\n\r?\n")
_SCHEME_AND_HOST = re.compile(r"(?:http|ws)s?://([^/?]*)", re.IGNORECASE)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
_VERSIONS = (b"1.0", b"1.1")
_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def _no_body(_max_bytes: int) -> bytes:
    return b""


@dataclass
class Request:
    """The head of an HTTP request; header names are in lower case, and a header that came twice is joined with commas."""

    method: str
    target: str
    headers: dict[str, str]
    prefix: str = ""
    """What was taken from the beginning of the target, because all of a server is below it."""
    version: str = "1.1"
    """Of HTTP."""
    remote_address: object = None
    """Who asks, as `Connection.remote_address`: by the word of a proxy that is trusted."""
    identity: object = None
    """What `check_request` has found out about who asks; for the handler it is `Connection.identity`."""
    body_reader: Callable[[int], bytes] = field(default=_no_body, repr=False, compare=False)
    """How `read_body` gets it."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query; the last one of a name counts."""
        query = self.target.partition("?")[2]
        return dict(parse_qsl(query, keep_blank_values=True)) if query else {}

    def read_body(self, max_bytes: int) -> bytes:
        """Wait for the body, and return it; b"" for the opening of a WebSocket. For the connection's own thread.

        Raises RequestRefused: 413 for more than `max_bytes`, 400 for what is no HTTP.
        """
        return self.body_reader(max_bytes)

    def below(self, prefix: str) -> Request:
        """The request without this beginning of its path. Raises RequestRefused (404) if it has another one."""
        if not prefix:
            return self
        rest = self.target.removeprefix(prefix)
        if not self.target.startswith(prefix) or rest[:1] not in ("", "/", "?"):
            raise RequestRefused(HTTPStatus.NOT_FOUND, f"There is nothing here; all of this server is below {prefix}/.")
        return replace(self, target=rest, prefix=prefix)


class Exchange:
    """The requests on one connection, one after the other.

    Waits for the peer without a limit of its own: a timer shuts the socket down.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._socket = sock
        self._limits = limits
        self._head = b""
        self.already_read = b""
        """What was read beyond the head; the next one begins with it."""

    def read_head(self) -> bytes | None:
        """The head of the next request, its blank line included; None if the peer left before it was whole.

        What cannot become one is returned as soon as that is known. Raises RequestRefused (431) for one that is too long.
        """
        # Line ends before a request are passed over: some send one after a body (RFC 9112, section 2.2).
        self._head, read = b"", self.already_read.lstrip(b"\r\n")
        left = (self._limits.max_head_bytes or _UNLIMITED) - len(read)
        while not (end := END_OF_HEAD.search(read)):
            if left <= 0:
                raise RequestRefused(_TOO_LARGE, f"A request's head may have {self._limits.max_head_bytes} bytes.")
            data = self._socket.recv(min(_READ_BYTES, left))
            if not data:
                self.already_read = read
                return None
            left -= len(data)
            read = (read + data).lstrip(b"\r\n")
            if read and not read[:1].isalpha():
                return read
        self._head, self.already_read = read[: end.end()], read[end.end() :]
        if self._limits.max_headers and self._head.count(b"\n") - 2 > self._limits.max_headers:
            raise RequestRefused(_TOO_LARGE, f"A request may have {self._limits.max_headers} headers.")
        return self._head

    @property
    def wants_events(self) -> bool:
        """Return True if an EventSource asks for this."""
        return accepts_events(self._head)

    @property
    def wants_body(self) -> bool:
        """Whether the answer may have a body."""
        return not self._head.startswith(b"HEAD ")


def accepts_events(head: bytes) -> bool:
    """Return True if this is the head of a request that an EventSource makes."""
    return _ACCEPTS_EVENTS.search(head) is not None


def check_path_prefix(prefix: str) -> None:
    """Raise UsageError if this is not the beginning of a path."""
    if prefix and not _PREFIX.fullmatch(prefix):
        raise UsageError(f"a path prefix is like /chat: it begins with a slash and ends without one, not {prefix!r}")


def parse_request(head: bytes) -> Request:
    """The request for a WebSocket that a head makes. Raises RequestRefused (400, 505) if it makes none."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head))
    http.receive_data(head)
    event = next_request(http)
    if event.http_version != b"1.1":
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket is opened with HTTP/1.1.")
    return request_of(event)


def next_request(http: h11.Connection) -> h11.Request:
    """The request whose head h11 has been given. Raises RequestRefused (400, 505) if it makes none."""
    try:
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"This is not an HTTP request that can be served: {reason_of(error)}.") from None
    if not isinstance(event, h11.Request):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "This is not HTTP.")
    if event.http_version not in _VERSIONS:  # h11 takes any number for one
        raise RequestRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and HTTP/1.0 are spoken here.")
    return event


def reason_of(error: h11.RemoteProtocolError) -> str:
    """What is wrong with a request, without what h11 quotes of it: there may be a password in it, and this goes into the log."""
    return str(error).partition(": ")[0]


def request_of(event: h11.Request) -> Request:
    """A request as h11 has it."""
    headers: dict[str, str] = {}
    for name, value in event.headers:
        add_header(headers, name, value)
    target = target_of(event.target.decode("ascii"), headers)
    return Request(event.method.decode("ascii"), target, headers, version=event.http_version.decode("ascii"))


def target_of(target: str, headers: dict[str, str]) -> str:
    """Return the path and the query of a target. If it is a whole URL, as for a proxy, its host counts (RFC 9112, section 3.2.2)."""
    match = None if target.startswith("/") else _SCHEME_AND_HOST.match(target)
    if match is None:
        return target
    headers["host"] = match[1]
    rest = target[match.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def add_header(headers: dict[str, str], raw_name: bytes, raw_value: bytes) -> None:
    """Take a header as h11 has it in; one that comes again is joined with commas."""
    name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
    headers[name] = f"{headers[name]}, {value}" if name in headers else value
