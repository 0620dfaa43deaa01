"""HTTP requests, parsed from their heads (RFC 9112): ordinary ones here, all others by h11. Nothing here touches a socket.

The requirements on an opening request are in `handshake`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import h11

from wschat.errors import RequestRefused, UsageError
from wschat.protocol.request_target import cookies_of, query_of

END_OF_HEAD = re.compile(rb"\n\r?\n")
"""Matches the end of a request's head."""
_ACCEPTS_EVENTS = re.compile(rb"\naccept:[^\n]*text/event-stream", re.IGNORECASE)
_SCHEME_AND_HOST = re.compile(r"(?:http|ws)s?://([^/?@]+)(?=[/?]|$)", re.IGNORECASE)
_HOST = re.compile(r"(?:[\w.~!$&'()*+;=%-]*|\[[\w:.%]*\])(?::\d*)?", re.ASCII)
_SIMPLE_HEAD = re.compile(
    rb"""(?:GET|HEAD)\x20/[!"$-~]*\x20HTTP/1\.1\r\n
    (?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+
    \r\n""",
    re.VERBOSE,
)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
_VERSIONS = (b"1.0", b"1.1")
_READ_BYTES = 16 * 1024


@dataclass
class Request:
    """An HTTP request."""

    method: str
    """The method, as the client wrote it."""
    target: str
    """The path and the query, without `prefix`; or `*` in a request with the method OPTIONS about the whole server."""
    headers: dict[str, str]
    """The headers by name in lower case. The values of a repeated header are joined with commas."""
    prefix: str = ""
    """The path prefix of the server, which was removed from the target."""
    version: str = "1.1"
    """The HTTP version."""
    remote_address: object = None
    """The client's address, as `Connection.remote_address`: that given by a trusted proxy, or the peer's."""
    identity: object = None
    """What `check_request` has found out about the client. The handler finds it in `Connection.identity`."""
    path_params: Mapping[str, str | int] = field(default_factory=dict)
    """What the placeholders of the path's pattern have found, on a server with routes. The handler finds it in `Connection.path_params`."""
    scheme: str = "http"
    """`http` or `https`: that of the connection, or the one that a trusted proxy names."""
    body: io.RawIOBase | io.BytesIO = field(default_factory=io.BytesIO, repr=False, compare=False)
    """The body as a stream. Reading waits for the client; for the connection's own thread. Raises as `read_body` does."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query. Of a repeated parameter, the last value counts."""
        return query_of(self.target)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, by name."""
        return cookies_of(self.headers)

    def read_body(self, max_bytes: int) -> bytes:
        """Wait for the body and return it; the body of an opening request is empty. For the connection's own thread.

        Raises RequestRefused (413 for more than `max_bytes`, 400 for a body that is not HTTP), and HttpConnectionClosed if the
        client leaves.
        """
        too_large = RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body of a request may have {max_bytes} bytes here.")
        if int(self.headers.get("content-length", 0)) > max_bytes:
            raise too_large
        body = bytearray()
        while part := self.body.read(_READ_BYTES):
            body += part
            if len(body) > max_bytes:
                raise too_large
        return bytes(body)

    def is_below(self, prefix: str) -> bool:
        """Return True if the path begins with a prefix, which ends without a slash."""
        return self.target.startswith(prefix) and self.target[len(prefix) : len(prefix) + 1] in ("", "/", "?")

    def below(self, prefix: str) -> Request:
        """Return the request without a prefix of its path. Raises RequestRefused (404) if its path does not begin with it."""
        if not prefix:
            return self
        if not self.is_below(prefix):
            raise RequestRefused(HTTPStatus.NOT_FOUND, f"There is nothing here; all of this server is below {prefix}/.")
        return replace(self, target=self.target.removeprefix(prefix), prefix=prefix)


def accepts_events(head: bytes) -> bool:
    """Return True if the head of a request has the Accept header of EventSource."""
    return _ACCEPTS_EVENTS.search(head) is not None


def check_path_prefix(prefix: str) -> None:
    """Raise UsageError if a text is neither empty nor the beginning of a path."""
    if prefix and not _PREFIX.fullmatch(prefix):
        raise UsageError(f"a path prefix is like /chat: it begins with a slash and ends without one, not {prefix!r}")


def parse_simple(head: bytes) -> Request | None:
    """Return the request of a GET or HEAD without anything unusual in its head, as `parse_plain` and `parse_opening` do, or None.

    h11 takes several times as long. All else is left to it: bodies, other methods and versions, repeated headers, headers in two
    lines, and everything that is not valid.
    """
    if not _SIMPLE_HEAD.fullmatch(head):
        return None
    line, *fields = head[:-4].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for field_line in fields:
        name, _, value = field_line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if len(headers) != len(fields) or not _HOST.fullmatch(headers.get("host", "?")):
        return None
    if "content-length" in headers or "transfer-encoding" in headers:
        return None
    method, target, _ = line.split(" ")
    return Request(method, target, headers)


def parse_plain(http: h11.Connection) -> Request:
    """Return the plain request whose head h11 has received. Raises RequestRefused (400, 501, 505) if it cannot be served."""
    event = _next_request(http)
    if event.method == b"CONNECT":  # a 2xx response to CONNECT would not end (RFC 9112, section 6.3)
        raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "This is not a proxy.")
    request = _request_of(event)
    if not _HOST.fullmatch(request.headers.get("host", "")):  # RFC 9112, section 3.2
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "The Host of a request must be a name or an address, with or without a port.")
    if "transfer-encoding" in request.headers and request.version == "1.0":  # RFC 9112, section 6.1
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A request in HTTP/1.0 has no Transfer-Encoding.")
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        # Request smuggling: a proxy that reads it in the other way takes a part of the body for a request.
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A request has a Content-Length or a Transfer-Encoding, not both.")
    return request


def parse_opening(head: bytes) -> Request:
    """Return the request for a WebSocket in a head. Raises RequestRefused (400, 505) if it is not one in HTTP/1.1."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head))
    http.receive_data(head)
    event = _next_request(http)
    if event.http_version != b"1.1":
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket is opened with HTTP/1.1.")
    return _request_of(event)


def reason_of(error: h11.RemoteProtocolError) -> str:
    """Return the reason of an error without the quoted part of the request: it may hold a password, and reasons are logged."""
    return str(error).partition(": ")[0]


def path_and_query(target: str, headers: dict[str, str]) -> str:
    """Return the path and the query of a target. The host of an absolute URL replaces the Host header (RFC 9112, section 3.2.2).

    Raises RequestRefused (400) for another kind of target, or one with a fragment.
    """
    is_path = target.startswith("/")
    match = None if is_path else _SCHEME_AND_HOST.match(target)
    if "#" in target or not (is_path or match):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "The target of a request must be a path or a URL, without a fragment.")
    if match is None:
        return target
    headers["host"] = match[1]
    rest = target[match.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def add_header(headers: dict[str, str], raw_name: bytes, raw_value: bytes) -> None:
    """Add a header of h11. The value of a repeated header is joined with a comma (RFC 9110, section 5.3)."""
    name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
    headers[name] = f"{headers[name]}, {value}" if name in headers else value


def _next_request(http: h11.Connection) -> h11.Request:
    try:
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        status = error.error_status_hint  # 501 for a Transfer-Encoding other than chunked
        raise RequestRefused(status, f"This is not an HTTP request that can be served: {reason_of(error)}.") from None
    if not isinstance(event, h11.Request):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "This is not HTTP.")
    if event.http_version not in _VERSIONS:  # h11 accepts any version
        raise RequestRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and HTTP/1.0 are spoken here.")
    return event


def _request_of(event: h11.Request) -> Request:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        add_header(headers, name, value)
    method, target = event.method.decode("ascii"), event.target.decode("ascii")
    if (method, target) != ("OPTIONS", "*"):  # a request about the server (RFC 9110, section 9.3.7)
        target = path_and_query(target, headers)
    return Request(method, target, headers, version=event.http_version.decode("ascii"))
