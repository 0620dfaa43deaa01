"""The server's side of the opening handshake (RFC 6455, section 4.2): from the head of a request to the 101 response.

simple-websocket chooses the subprotocol, and parses the requests that have anything unusual in their heads (see `parse_simple`). What it
does not check is checked here; compression is agreed here.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import encodings.idna  # noqa: F401  # used by wsproto for host names; imported by the first opening, it might find no descriptor left
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import simple_websocket
from wsproto.events import Request as WsprotoRequest
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from wschat.errors import RequestRefused
from wschat.protocol.deflate import Deflate, accept_offer
from wschat.server.requests import Request, add_header, parse_opening, parse_simple, path_and_query

# simple-websocket requires a socket, and does nothing with this one. (Its own object would make a cycle that only the collector frees.)
_NO_SOCKET = object()
_VERSION = "13"
# A 426 response has both headers (RFC 9110, sections 7.8 and 15.5.22).
_UPGRADE_REQUIRED = {"Upgrade": "websocket", "Connection": "Upgrade, close", "Sec-WebSocket-Version": _VERSION}
_GET_REQUEST = re.compile(rb"GET \S+ HTTP/1\.1\r?\n")
_HEADERS_OF_OPENING = ("host", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol")


class Acceptance(NamedTuple):
    """An accepted opening request."""

    response: bytes
    """The 101 response."""
    subprotocol: str | None
    """The subprotocol agreed on."""
    deflate: Deflate | None
    """The compression agreed on."""


class Handshake:
    """An opening request. Touches no socket."""

    def __init__(self, head: bytes, subprotocols: Sequence[str] = ()) -> None:
        """Parse the head of a request. Raises RequestRefused (400, 505) if it is not a request in HTTP/1.1."""
        self._subprotocols = subprotocols
        self._parsed: _Server | None = None  # None for a request that simple-websocket has not parsed, or does not accept as it is
        # simple-websocket, by wsproto and h11, takes two fifths of the processor time of an opening to parse a request. Those that
        # `parse_simple` takes are most of all; internationalized host names are left to wsproto, which checks them.
        ordinary = parse_simple(head) if head.isascii() and b"xn--" not in head else None
        self._is_ordinary = ordinary is not None
        self.request = ordinary or self._parse(head)

    def _parse(self, head: bytes) -> Request:
        with contextlib.suppress(RemoteProtocolError, UnicodeError):
            if _GET_REQUEST.match(head):
                self._parsed = _Server(head, self._subprotocols)
        return self._parsed.request() if self._parsed else parse_opening(head)

    def accept(self, deflate: Deflate | None = None) -> Acceptance:
        """Return the acceptance of the request. Raises RequestRefused (400, 405, 426) if it does not open a WebSocket."""
        headers = self.request.headers
        if self._parsed is None:
            _check_upgrade(self.request)
        _check_headers(headers)
        subprotocol = self._choose_subprotocol()
        offers = headers.get("sec-websocket-extensions")
        agreed = accept_offer(offers, deflate) if offers and deflate else None
        response = _encode_response(headers["sec-websocket-key"], subprotocol, agreed[0] if agreed else None)
        return Acceptance(response, subprotocol, agreed[1] if agreed else None)

    def _choose_subprotocol(self) -> str | None:
        """Return the subprotocol that both support, None if there is none. Raises RequestRefused (400)."""
        parsed = self._parsed
        if parsed is None and self._is_ordinary:
            offered = self.request.headers.get("sec-websocket-protocol")
            if offered is None:
                return None
            parsed = _Server(WsprotoRequest("", "", subprotocols=[each.strip() for each in offered.split(",")]), self._subprotocols)
        elif parsed is None:
            try:
                # wsproto refuses a request that offers another upgrade besides: it gets one that does not.
                parsed = _Server(_head_without_other_upgrades(self.request), self._subprotocols)
            except (RemoteProtocolError, UnicodeError) as error:
                raise RequestRefused(HTTPStatus.BAD_REQUEST, f"This WebSocket request cannot be served: {error}.") from None
        return parsed.subprotocol


class _Server(simple_websocket.Server):  # type: ignore[misc]  # it has no types
    """simple-websocket, given the bytes of the request, or the request.

    From a WSGI environ it would write the request again for h11 to parse again, which takes an eighth of an opening.
    """

    subprotocol: str | None
    """The first subprotocol of the request that is supported."""

    def __init__(self, request: bytes | WsprotoRequest, subprotocols: Sequence[str]) -> None:
        self._given = request
        super().__init__({"werkzeug.socket": _NO_SOCKET}, subprotocols=list(subprotocols), thread_class=_Idle, event_class=_Idle)

    def handshake(self) -> None:
        """Parse the request; called by the constructor. Raises RemoteProtocolError or UnicodeError if it opens no WebSocket."""
        if isinstance(self._given, bytes):
            self.ws.receive_data(self._given)
            self._request: WsprotoRequest = next(self.ws.events())
        else:
            self._request = self._given
        self.subprotocol = self.choose_subprotocol(self._request)
        self.connected = True

    def request(self) -> Request:
        """Return the request with its headers as the client sent them."""
        parsed = self._request
        # wsproto decodes an internationalized host name, but an Origin header has it encoded.
        headers = {"host": parsed.host if parsed.host.isascii() else parsed.host.encode("idna").decode("ascii")}
        for name, value in parsed.extra_headers:
            add_header(headers, name, value)
        if parsed.subprotocols:
            headers["sec-websocket-protocol"] = ", ".join(parsed.subprotocols)
        if parsed.extensions:
            headers["sec-websocket-extensions"] = ", ".join(map(str, parsed.extensions))
        return Request("GET", path_and_query(parsed.target, headers), headers)


class _Idle:
    """A stand-in for simple-websocket's reader thread and its event: the connection's own thread reads."""

    def __init__(self, target: object = None) -> None:
        self.name = ""

    def start(self) -> None:
        """Start nothing."""


def _encode_response(key: str, subprotocol: str | None, extensions: str | None) -> bytes:
    """Encode the 101 response. wsproto would also prepare to run the connection, which takes a tenth of an opening."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {generate_accept_token(key.encode('ascii')).decode('ascii')}",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _head_without_other_upgrades(request: Request) -> bytes:
    headers = request.headers
    lines = [f"{name}: {headers[name]}\r\n" for name in _HEADERS_OF_OPENING if name in headers]
    return f"GET / HTTP/1.1\r\nupgrade: websocket\r\n{''.join(lines)}\r\n".encode("latin-1")


def _check_upgrade(request: Request) -> None:
    """Check what wsproto would have checked of a request, had it parsed it. Raises RequestRefused (400, 405, 426)."""
    if request.method != "GET":
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket is opened with GET.", {"Allow": "GET"})
    if "websocket" not in _tokens(request.headers.get("upgrade", "")):
        text = "This is a WebSocket server: connect with a WebSocket client."
        raise RequestRefused(HTTPStatus.UPGRADE_REQUIRED, text, _UPGRADE_REQUIRED)
    if "upgrade" not in _tokens(request.headers.get("connection", "")):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a header 'Connection: Upgrade'.")


def _check_headers(headers: dict[str, str]) -> None:
    """Check what wsproto does not: repeated headers, a body, and the length of the key. Raises RequestRefused (400, 426)."""
    if headers.get("sec-websocket-version") != _VERSION:
        text = f"The version of WebSocket spoken here is {_VERSION}."
        raise RequestRefused(HTTPStatus.UPGRADE_REQUIRED, text, _UPGRADE_REQUIRED)
    if "transfer-encoding" in headers or headers.get("content-length", "").strip("0"):
        # The body would be taken for frames.
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has no body.")
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a Sec-WebSocket-Key of 16 bytes in base64.")


def _tokens(header: str) -> set[str]:
    return {token.strip().lower() for token in header.split(",")}
