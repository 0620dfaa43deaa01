"""Opening a WebSocket as a client: `connect`.

Each step has a module of its own: `uri`, `proxy`, `happy_eyeballs`, `tunnel`, `tls`, `handshake`, `response`, `cookies` and
`redirects`. They have one deadline. What comes out is a socket, which becomes a `Connection`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from wschat.client.cookies import Cookies
from wschat.client.deadline import Deadline, DeadlinePassed, TimedSocket
from wschat.client.failures import explained
from wschat.client.handshake import Handshake
from wschat.client.happy_eyeballs import create_connection
from wschat.client.proxy import proxy_for
from wschat.client.redirects import is_redirect, redirected
from wschat.client.response import Exchange, Response
from wschat.client.tls import start_tls
from wschat.client.tunnel import open_tunnel
from wschat.client.uri import WebSocketURI, parse_uri
from wschat.connection.connection import Connection
from wschat.connection.streams import open_stream
from wschat.errors import UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

DEFAULT_DEFLATE = Deflate()


def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | CookieJar | None = None,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    proxy: str | None = None,
    tls: ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    max_redirects: int = 3,
    limits: Limits = DEFAULT_LIMITS,
    deflate: Deflate | None = DEFAULT_DEFLATE,
) -> Connection:
    """Open a WebSocket to a `ws://` or `wss://` URL.

    The URL may have any characters in its host, path and query; with `USER:PASSWORD@` before the host, these are sent by basic
    authentication. `headers` go into the request, `origin` too if it is given. Of the `subprotocols` the server may choose one.
    `cookies` are sent, too; if they are an `http.cookiejar.CookieJar`, those of its cookies are sent that are for the URL, and
    those that the server sets are put into it. `deflate` is the compression to offer, None for none.

    `proxy` is the URL of an HTTP or SOCKS proxy (`http`, `https`, `socks4`, `socks4a`, `socks5`, `socks5h`; `https` for
    `ws://` only; SOCKS takes the extra `socks`), "" for none. Without it the environment counts as in curl: `ws_proxy`,
    `http_proxy`, `wss_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. `tls` is the context for `wss://` and for an `https`
    proxy; without it, certificates are verified with the system's authorities. `sock` is a connected socket to use, a Unix one
    for example; for `wss://`, TLS is spoken on it. It belongs to the connection from then on, and is closed if there is none.

    Up to `max_redirects` redirects are followed, never from `wss://` to `ws://`, and never with `sock`. To another scheme, host
    or port, neither `headers`, nor `cookies` that are not in a jar, nor a password in the URL are sent.

    Waits for at most `limits.opening_timeout` seconds, from any thread. Raises UsageError if something is asked for that cannot
    be, OSError if there is no connection, TimeoutError if it takes too long, and OpeningFailed if the server does not open a
    WebSocket: with its status, headers and body.
    """
    uri = parse_uri(url)
    if sock is not None and proxy:
        raise UsageError("sock= is connected already: give it or proxy=, not both")
    opening = _Opening(Handshake(headers or {}, origin, subprotocols, deflate), Cookies(cookies), proxy, tls, limits)
    redirects_left = 0 if sock is not None else max_redirects
    while True:
        with contextlib.ExitStack() as undo:
            if sock is not None:
                undo.callback(sock.close)
            try:
                connected = opening.begin(uri, sock, undo)
                remote_address = _peer_name(connected, uri)
                exchange = opening.exchange(connected, uri)
                response = opening.ask(exchange, uri)
                if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                    connection = opening.connection(connected, uri, response, exchange.already_read(), remote_address)
                    undo.pop_all()
                    return connection
                if not (is_redirect(response) and redirects_left > 0):
                    raise exchange.failure(response)
            except DeadlinePassed:
                raise TimeoutError(f"{uri.place} did not open a WebSocket within {limits.opening_timeout} s") from None
        redirects_left -= 1
        uri = opening.follow(uri, response)


class _Opening:
    """What stays the same over the redirects of one `connect`."""

    def __init__(self, handshake: Handshake, cookies: Cookies, proxy: str | None, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._handshake = handshake
        self._cookies = cookies
        self._proxy = proxy
        self._tls = tls
        self._limits = limits
        self._deadline = Deadline(limits.opening_timeout)

    def begin(self, uri: WebSocketURI, sock: socket.socket | None, undo: contextlib.ExitStack) -> socket.socket:
        """Connect to what a URI names, or take this socket; what closes it is put into `undo`."""
        if sock is None:
            proxy = proxy_for(uri, self._proxy)
            if proxy is None:
                sock = create_connection(uri.host, uri.port, self._deadline)
            else:
                sock = open_tunnel(proxy, uri, self._tls, self._deadline, self._limits.max_head_bytes)
            undo.callback(sock.close)
        if uri.is_secure and not isinstance(sock, ssl.SSLSocket):
            sock = start_tls(sock, uri.host, uri.place, self._tls, self._deadline, "use ws:// instead of wss://")
            undo.callback(sock.close)
        return sock

    def exchange(self, sock: socket.socket, uri: WebSocketURI) -> Exchange:
        """The request and its answer on a socket."""
        return Exchange(TimedSocket(sock, self._deadline), uri.place, self._limits.max_head_bytes)

    def ask(self, exchange: Exchange, uri: WebSocketURI) -> Response:
        """Send the opening request and wait for the answer."""
        response = self._handshake.ask(exchange, uri, self._cookies.header(uri))
        self._cookies.take(uri, response)
        return response

    def connection(
        self, sock: socket.socket, uri: WebSocketURI, response: Response, already_read: bytes, remote_address: object
    ) -> Connection:
        """What was opened. Raises OpeningFailed if that is not what was asked for."""
        subprotocol = self._handshake.subprotocol(response, uri.place)
        deflate = self._handshake.agreed_deflate(response, uri.place)
        return Connection(
            open_stream(sock),
            is_client=True,
            limits=self._limits,
            path=uri.target,
            headers=response.headers,
            remote_address=remote_address,
            subprotocol=subprotocol,
            deflate=deflate,
            already_read=already_read,
        )

    def follow(self, uri: WebSocketURI, response: Response) -> WebSocketURI:
        """Where a redirect leads to. What is for the first origin only stays behind where that is another one."""
        target = redirected(uri, response)
        if target.origin != uri.origin:
            self._handshake.leave_origin()
            self._cookies.leave_origin()
        elif target.credentials is None:
            target = replace(target, credentials=uri.credentials)
        return target


def _peer_name(sock: socket.socket, uri: WebSocketURI) -> object:
    """The peer's address, which is asked for early: nobody knows it any more once the peer is gone."""
    try:
        return sock.getpeername()
    except OSError as error:
        raise explained(error, uri.place) from None
