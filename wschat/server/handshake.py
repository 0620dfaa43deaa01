"""The opening handshake, a server's side (RFC 6455, section 4.2): from the head of a request to the answer that opens the WebSocket.

simple-websocket reads the request and chooses the subprotocol; what it does not look at is checked here, and so is what is
ours to decide.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import encodings.idna  # noqa: F401  # wsproto's for host names: imported by the first opening, it might find no descriptor left
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import simple_websocket
from wsproto.events import Request as Asked
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from wschat.errors import RequestRefused
from wschat.protocol.deflate import Deflate, accept_offer
from wschat.server.requests import Request, add_header, parse_request, target_of

# simple-websocket wants a socket, and gets nothing to do with it. (Its own object would do, but would then never be freed by itself.)
_NO_SOCKET = object()
_VERSION = "13"
_UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade, close"}  # a 426 has both (RFC 9110, sections 7.8 and 15.5.22)
_MAYBE_OPENING = re.compile(rb"GET \S+ HTTP/1\.1\r?\n")


class Answer(NamedTuple):
    """An agreement: the response to send, and what was agreed on."""

    response: bytes
    subprotocol: str | None
    deflate: Deflate | None


class Handshake:
    """What is asked for by a head, whatever it is, and the answer if it is a WebSocket. Never waits.

    Raises RequestRefused (400) for what is not HTTP.
    """

    def __init__(self, head: bytes, subprotocols: Sequence[str] = ()) -> None:
        self._subprotocols = subprotocols
        self._opened: _Server | None = None
        with contextlib.suppress(RemoteProtocolError, UnicodeError):
            if _MAYBE_OPENING.match(head):
                self._opened = _Server(head, subprotocols)
        self.request = self._opened.request() if self._opened else parse_request(head)

    def answer(self, deflate: Deflate | None = None) -> Answer:
        """Answer the request. Raises RequestRefused, with the status to answer, if it is no opening or a bad one."""
        _check(self.request)
        try:
            # What is right is refused by wsproto for offering another upgrade besides: so it is shown no other.
            opened = self._opened or _Server(_bare_head(self.request), self._subprotocols)
        except (RemoteProtocolError, UnicodeError) as error:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"This WebSocket request cannot be served: {error}.") from None
        offers = self.request.headers.get("sec-websocket-extensions")
        agreed = accept_offer(offers, deflate) if offers and deflate else None
        response = _response_to(self.request.headers["sec-websocket-key"], opened.subprotocol, agreed[0] if agreed else None)
        return Answer(response, opened.subprotocol, agreed[1] if agreed else None)


class _Server(simple_websocket.Server):  # type: ignore[misc]  # it has no types
    """simple-websocket, shown the very bytes of the request.

    From an environ it would write the request anew, and have h11 parse again what it has parsed: an eighth of an opening.
    """

    def __init__(self, head: bytes, subprotocols: Sequence[str]) -> None:
        self._head = head
        super().__init__({"werkzeug.socket": _NO_SOCKET}, subprotocols=list(subprotocols), thread_class=_Idle, event_class=_Idle)

    def handshake(self) -> None:
        """Called by the constructor. Raises RemoteProtocolError or UnicodeError for what is no opening."""
        self.ws.receive_data(self._head)
        self._asked: Asked = next(self.ws.events())
        self.subprotocol = self.choose_subprotocol(self._asked)
        self.connected = True

    def request(self) -> Request:
        asked = self._asked
        # wsproto decodes names of other scripts; an Origin has them as they came.
        headers = {"host": asked.host if asked.host.isascii() else asked.host.encode("idna").decode("ascii")}
        for name, value in asked.extra_headers:
            add_header(headers, name, value)
        for listed, values in (("sec-websocket-protocol", asked.subprotocols), ("sec-websocket-extensions", asked.extensions)):
            if values:
                headers[listed] = ", ".join(map(str, values))
        return Request("GET", target_of(asked.target, headers), headers)


class _Idle:
    """What simple-websocket takes for its reader thread and for the event that wakes it: it leaves the connection to us."""

    def __init__(self, target: object = None) -> None:
        self.name = ""

    def start(self) -> None:
        """Nothing is to be read yet."""


def _response_to(key: str, subprotocol: str | None, extensions: str | None) -> bytes:
    """The 101. Asked for it, wsproto would make ready to run the connection itself, which is a tenth of an opening."""
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


def _bare_head(request: Request) -> bytes:
    """The head of a request for a WebSocket and nothing else."""
    names = ("host", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol")
    lines = [f"{name}: {request.headers[name]}\r\n" for name in names if name in request.headers]
    return f"GET / HTTP/1.1\r\nupgrade: websocket\r\n{''.join(lines)}\r\n".encode("latin-1")


def _check(request: Request) -> None:
    headers = request.headers
    if request.method != "GET":
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket is opened with GET.", {"Allow": "GET"})
    if "websocket" not in _tokens(headers.get("upgrade", "")):
        raise RequestRefused(
            HTTPStatus.UPGRADE_REQUIRED,
            "This is a WebSocket server: connect with a WebSocket client.",
            {**_UPGRADE, "Sec-WebSocket-Version": _VERSION},
        )
    if "upgrade" not in _tokens(headers.get("connection", "")):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a header 'Connection: Upgrade'.")
    if headers.get("sec-websocket-version") != _VERSION:
        raise RequestRefused(
            HTTPStatus.UPGRADE_REQUIRED,
            f"The version of WebSocket spoken here is {_VERSION}.",
            {**_UPGRADE, "Sec-WebSocket-Version": _VERSION},
        )
    if "transfer-encoding" in headers or headers.get("content-length", "").strip("0"):
        # It would be taken for frames.
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has no body.")
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a Sec-WebSocket-Key of 16 bytes in base64.")


def _tokens(header: str) -> set[str]:
    return {token.strip().lower() for token in header.split(",")}
