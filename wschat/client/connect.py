"""`connect`: open a WebSocket as a client.

Each step has its own module: `uri`, `proxy`, `happy_eyeballs`, `tunnel`, `tls`, `handshake`, `response`, `cookies` and `redirects`. All
steps share one deadline. The result is a connected socket, which becomes a `Connection`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, TypedDict

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
    create_connection: Callable[..., Connection] = Connection,
) -> Connection:
    """Open a WebSocket to a `ws://` or `wss://` URL. Thread-safe.

    The host, path and query of the URL may contain any characters. `USER:PASSWORD@` before the host is sent by basic
    authentication. `headers` are added to the request, and so is `origin` if it is given. The server may choose one of the
    `subprotocols`. `cookies` are sent as well. If they are an `http.cookiejar.CookieJar`, only its cookies for the URL are sent, and
    it receives the cookies that the server sets. `deflate` is the compression to offer, None for none. `create_connection` is the
    class of the connection: `Connection`, a subclass of it, or a function with the arguments of one.

    `proxy` is the URL of an HTTP or SOCKS proxy (`http`, `https`, `socks4`, `socks4a`, `socks5`, `socks5h`; `https` for
    `ws://` only; SOCKS needs the extra `socks`), or "" for no proxy. By default, the environment decides as in curl: `ws_proxy`,
    `http_proxy`, `wss_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. `tls` is the context for `wss://` and for an `https`
    proxy. By default, certificates are verified with the authorities of the system. `sock` is a connected socket to use, such as
    a Unix socket. For `wss://`, the TLS handshake takes place on it. The connection owns it, and a failure closes it.

    Up to `max_redirects` redirects are followed, but never from `wss://` to `ws://`, and none with `sock`. On a redirect to another
    scheme, host or port, `headers`, `cookies` that are not in a jar, and a password in the URL are not sent.

    Waits for at most `limits.opening_timeout` seconds. Raises UsageError for an invalid argument, OSError if there is no
    connection, TimeoutError if it takes too long, and OpeningFailed, with status, headers and body of the response, if the server
    does not open a WebSocket.
    """
    return Opening(
        url,
        headers=headers,
        cookies=cookies,
        origin=origin,
        subprotocols=subprotocols,
        proxy=proxy,
        tls=tls,
        sock=sock,
        max_redirects=max_redirects,
        limits=limits,
        deflate=deflate,
        create_connection=create_connection,
    ).run()


class ConnectOptions(TypedDict, total=False):
    """The arguments of `connect` that `reconnect` passes on."""

    cookies: Mapping[str, str] | CookieJar | None
    origin: str | None
    subprotocols: Sequence[str]
    proxy: str | None
    tls: ssl.SSLContext | None
    max_redirects: int
    limits: Limits
    deflate: Deflate | None
    create_connection: Callable[..., Connection]


class Opening:
    """One opening of a WebSocket, over its redirects. The arguments are those of `connect`. Raises UsageError."""

    def __init__(
        self,
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
        create_connection: Callable[..., Connection] = Connection,
    ) -> None:
        if sock is not None and proxy:
            raise UsageError("give either sock=, which is connected already, or proxy=, not both")
        self.uri = parse_uri(url)
        """The URI; after a redirect, its target."""
        self._handshake = Handshake(headers or {}, origin, subprotocols, deflate)
        self._cookies = Cookies(cookies)
        self._proxy = proxy
        self._tls = tls
        self._sock = sock
        self._redirects_left = 0 if sock is not None else max_redirects
        self._limits = limits
        self._create_connection = create_connection
        self._deadline = Deadline(limits.opening_timeout)

    def run(self) -> Connection:
        """Open the WebSocket, and return the connection. Waits, and raises, as `connect` does."""
        while True:
            with contextlib.ExitStack() as undo:
                if self._sock is not None:
                    undo.callback(self._sock.close)
                try:
                    response = self._ask(undo)
                except DeadlinePassed:
                    raise TimeoutError(f"{self.uri.place} did not open a WebSocket within {self._limits.opening_timeout} s") from None
                if isinstance(response, Connection):
                    undo.pop_all()
                    return response
            self._follow(response)

    def cancel(self) -> None:
        """End `run` soon, with an error or a connection. May be called from any thread and any signal handler; never waits."""
        self._deadline.cancel()

    def _ask(self, undo: contextlib.ExitStack) -> Connection | Response:
        """Send a request. Return the connection, or the response if it is a redirect to follow. `undo` closes what was opened."""
        uri = self.uri
        sock = self._connected(undo)
        remote_address = _peer_name(sock, uri)
        exchange = Exchange(TimedSocket(sock, self._deadline), uri.place, self._limits.max_head_bytes)
        response = self._handshake.ask(exchange, uri, self._cookies.header(uri))
        self._cookies.extract(uri, response)
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return self._connection(sock, response, exchange.already_read(), remote_address)
        if not (is_redirect(response) and self._redirects_left > 0):
            raise exchange.failure(response)
        return response

    def _connected(self, undo: contextlib.ExitStack) -> socket.socket:
        """Return a socket that is connected to the host, with TLS if the URI is secure."""
        uri, sock = self.uri, self._sock
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

    def _connection(self, sock: socket.socket, response: Response, already_read: bytes, remote_address: object) -> Connection:
        """Return the open connection. Raises OpeningFailed if the server chose a subprotocol or extension that was not offered."""
        subprotocol = self._handshake.subprotocol(response, self.uri.place)
        deflate = self._handshake.agreed_deflate(response, self.uri.place)
        return self._create_connection(
            open_stream(sock),
            is_client=True,
            limits=self._limits,
            path=self.uri.target,
            headers=response.headers,
            remote_address=remote_address,
            subprotocol=subprotocol,
            deflate=deflate,
            already_read=already_read,
        )

    def _follow(self, response: Response) -> None:
        """Go on with the target of a redirect. On a redirect to another origin, forget headers, cookies and credentials."""
        uri, target = self.uri, redirected(self.uri, response)
        if target.origin != uri.origin:
            self._handshake.forget_origin()
            self._cookies.forget_origin()
        elif target.credentials is None:
            target = replace(target, credentials=uri.credentials)
        self.uri = target
        self._redirects_left -= 1


def _peer_name(sock: socket.socket, uri: WebSocketURI) -> object:
    """Return the address of the peer. Must be called early: once the peer is gone, the system no longer knows it."""
    try:
        return sock.getpeername()
    except OSError as error:
        raise explained(error, uri.place) from None
