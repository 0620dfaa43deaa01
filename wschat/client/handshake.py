"""The opening handshake of a client (RFC 6455, section 4.1), by websocket-client.

websocket-client makes the key and the head of the request, and checks the response. It is given a transport instead of a socket, and
the response is read here. So it never sees cookies, which it would keep for the whole process, redirects, or bodies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from io import BytesIO

import h11
from websocket import WebSocket, WebSocketException

from wschat.client.response import Exchange, Response
from wschat.client.tunnel import basic
from wschat.client.uri import WebSocketURI
from wschat.errors import OpeningFailed, UsageError
from wschat.protocol import deflate as permessage_deflate
from wschat.protocol.deflate import Deflate
from wschat.protocol.syntax import is_token

# The headers that are made here, with the argument of `connect` that sets them, if there is one.
_OWN_HEADERS = {
    "connection": "",
    "upgrade": "",
    "sec-websocket-key": "",
    "sec-websocket-version": "",
    "sec-websocket-extensions": "deflate=",
    "sec-websocket-protocol": "subprotocols=",
    "content-length": "",
    "transfer-encoding": "",
}
_CHECKED_HEADERS = ("upgrade", "connection", "sec-websocket-accept")
# The parts of the request that h11 needs in order to parse the response.
_OPENING = h11.Request(method="GET", target="/", headers=[("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade")])


class Handshake:
    """The headers and extensions of an opening request. Raises UsageError if one of them is invalid."""

    def __init__(self, headers: Mapping[str, str], origin: str | None, subprotocols: Sequence[str], deflate: Deflate | None) -> None:
        if isinstance(subprotocols, str):
            raise UsageError(f"subprotocols must be a list of names, not the string {subprotocols!r}")
        for name, value in headers.items():
            _check_name(name)
            check_value(name, str(value))
        check_value("Origin", origin or "")
        for name in subprotocols:
            if not is_token(name):
                raise UsageError(f"a subprotocol must have letters, digits and !#$%&'*+.^_`|~- only, not {name!r}")
        self._headers = {name: str(value) for name, value in headers.items()}
        self._names = {name.lower(): name for name in self._headers}
        self._origin = origin
        self._subprotocols = subprotocols
        self._deflate = deflate

    def forget_origin(self) -> None:
        """Drop the headers of the caller, because a redirect leads to another origin."""
        self._headers, self._names = {}, {}

    def ask(self, exchange: Exchange, uri: WebSocketURI, cookie: str) -> Response:
        """Send the opening request, and return the response. If its status is 101, it has been checked.

        Raises OSError if the connection is lost, DeadlinePassed, and OpeningFailed.
        """
        transport = _Transport(exchange, uri.target)
        client = WebSocket(enable_multithread=False)
        is_opening = True
        try:
            client.connect(  # type: ignore[no-untyped-call]
                "ws://wschat.invalid/",  # not used: the transport is connected, and `host` is given
                socket=transport,
                host=self._header("host") or uri.host_header,
                origin=self._origin,
                suppress_origin=self._origin is None,
                header=self._lines(uri, cookie),
                redirect_limit=0,
            )
        except WebSocketException:
            is_opening = False
        if transport.failure is not None:
            raise transport.failure
        response = transport.response
        assert response is not None
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS and not is_opening:
            text = f"{uri.place} does not open a WebSocket: the Upgrade, Connection or Sec-WebSocket-Accept header of its response is wrong"
            raise OpeningFailed(text, response.status, response.headers)
        return response

    def subprotocol(self, response: Response, place: str) -> str | None:
        """Return the subprotocol that the server chose, or None. Raises OpeningFailed if it was not offered."""
        chosen = response.headers.get("sec-websocket-protocol")
        if chosen is not None and chosen not in self._subprotocols:
            text = f"{place} chose a subprotocol that was not offered: {chosen!r}"
            raise OpeningFailed(text, response.status, response.headers)
        return chosen

    def agreed_deflate(self, response: Response, place: str) -> Deflate | None:
        """Return the compression that the server accepted, or None. Raises OpeningFailed if it was not offered."""
        chosen = response.headers.get("sec-websocket-extensions", "")
        if self._deflate is None:
            if chosen:
                text = f"{place} chose extensions that were not offered: {chosen!r}"
                raise OpeningFailed(text, response.status, response.headers)
            return None
        try:
            return permessage_deflate.accept_answer(chosen, self._deflate)
        except ValueError as error:
            raise OpeningFailed(f"{place}: {error}", response.status, response.headers) from None

    def _header(self, name: str) -> str:
        return self._headers.get(self._names.get(name, ""), "")

    def _lines(self, uri: WebSocketURI, cookie: str) -> list[str]:
        lines = [f"{name}: {value}" for name, value in self._headers.items() if name.lower() not in ("host", "cookie")]
        if uri.credentials and not self._header("authorization"):
            lines.append(f"Authorization: {basic(uri.credentials)}")
        if cookie := "; ".join(filter(None, (self._header("cookie"), cookie))):
            lines.append(f"Cookie: {cookie}")
        if self._subprotocols:
            # Not by websocket-client, which fails if the server chooses none.
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(self._subprotocols)}")
        if self._deflate is not None:
            lines.append(f"Sec-WebSocket-Extensions: {permessage_deflate.offer(self._deflate)}")
        return lines


class _Transport:
    """The socket of websocket-client. Sending the request performs the exchange; reading returns only the head to check."""

    def __init__(self, exchange: Exchange, target: str) -> None:
        self._exchange = exchange
        self._target = target
        self._answer = BytesIO()
        self.response: Response | None = None
        self.failure: OSError | None = None
        """An exception of the network or of a signal handler, which websocket-client would replace by its own."""

    def send(self, head: bytes) -> int:
        """Send the head of a request, with a request line made here: websocket-client drops the part of a path after a semicolon."""
        fields = head.partition(b"\r\n")[2]
        try:
            self.response = self._exchange.ask(_OPENING, b"GET %b HTTP/1.1\r\n%b" % (self._target.encode("ascii"), fields))
        except OSError as error:
            self.failure = error
            raise WebSocketException from error
        headers = self.response.headers
        lines = [f"HTTP/1.1 {self.response.status} ", *(f"{name}: {headers[name]}" for name in _CHECKED_HEADERS if name in headers)]
        self._answer = BytesIO("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        return len(head)

    def recv(self, max_bytes: int) -> bytes:
        """Return the next bytes of the head of the response."""
        return self._answer.read(max_bytes)

    def gettimeout(self) -> None:
        """Return None: the deadline of the opening applies instead."""

    def close(self) -> None:
        """Do nothing, because the socket belongs to `connect`."""


def check_value(name: str, value: str) -> None:
    """Raise UsageError if a text cannot be the value of a header."""
    if re.search("[\r\n\0\ud800-\udfff]", value):
        raise UsageError(f"the value of a header must not contain a line break, NUL or a lone surrogate: {name}")


def _check_name(name: str) -> None:
    if not is_token(name):
        raise UsageError(f"the name of a header must have letters, digits and !#$%&'*+.^_`|~- only, not {name!r}")
    instead = _OWN_HEADERS.get(name.lower())
    if instead is not None:
        raise UsageError(f"the header {name} is made by connect{f': use {instead}' if instead else ''}")
