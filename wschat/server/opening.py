"""The opening handshake, a server's side (RFC 6455, section 4.2): from a request to the answer that opens the WebSocket.

simple-websocket writes the answer; what it does not look at is checked here, and so is what is ours to decide.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

import simple_websocket
from wsproto.utilities import RemoteProtocolError

from wschat.errors import RequestRefused
from wschat.protocol.deflate import Deflate, accept_offer

_VERSION = "13"


class Opening(NamedTuple):
    """An agreement: the response to send, and what was agreed on."""

    response: bytes
    subprotocol: str | None
    deflate: Deflate | None


def answer_opening(method: str, headers: Mapping[str, str], subprotocols: Sequence[str] = (), deflate: Deflate | None = None) -> Opening:
    """Answer an opening request; header names are in lower case. Never waits.

    Raises RequestRefused, with the status to answer, for a request that is no opening or a bad one.
    """
    _check(method, headers)
    sink = _Sink()
    environ: dict[str, object] = {"werkzeug.socket": sink}
    # Only what it looks at. The extensions are ours, because they are ours to carry out.
    for name in ("host", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"):
        if name in headers:
            environ["HTTP_" + name.upper().replace("-", "_")] = headers[name]
    environ["HTTP_UPGRADE"] = "websocket"
    try:
        opened = simple_websocket.Server(environ, subprotocols=list(subprotocols), thread_class=_NoThread)
    except (RemoteProtocolError, UnicodeError) as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"This WebSocket request cannot be served: {error}.") from None
    response = bytes(sink.data)
    agreed = accept_offer(headers.get("sec-websocket-extensions", ""), deflate) if deflate else None
    if agreed is not None:
        response = response[:-2] + f"Sec-WebSocket-Extensions: {agreed[0]}\r\n\r\n".encode("ascii")
    return Opening(response, opened.subprotocol, agreed[1] if agreed else None)


def _check(method: str, headers: Mapping[str, str]) -> None:
    if method != "GET":
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket is opened with GET.", {"Allow": "GET"})
    if "websocket" not in _tokens(headers.get("upgrade", "")):
        raise RequestRefused(
            HTTPStatus.UPGRADE_REQUIRED,
            "This is a WebSocket server: connect with a WebSocket client.",
            {"Upgrade": "websocket", "Sec-WebSocket-Version": _VERSION},
        )
    if "upgrade" not in _tokens(headers.get("connection", "")):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a header 'Connection: Upgrade'.")
    if headers.get("sec-websocket-version") != _VERSION:
        raise RequestRefused(
            HTTPStatus.UPGRADE_REQUIRED, f"The version of WebSocket spoken here is {_VERSION}.", {"Sec-WebSocket-Version": _VERSION}
        )
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A WebSocket request has a Sec-WebSocket-Key of 16 bytes in base64.")


def _tokens(header: str) -> set[str]:
    return {token.strip().lower() for token in header.split(",")}


class _Sink:
    """What simple-websocket takes for the socket: it keeps the response."""

    def __init__(self) -> None:
        self.data = bytearray()

    def send(self, data: bytes) -> None:
        self.data += data


class _NoThread:
    """What simple-websocket takes for its reader thread: it leaves the connection to us."""

    def __init__(self, target: object) -> None:
        self.name = ""

    def start(self) -> None:
        """Nothing is to be read yet."""
