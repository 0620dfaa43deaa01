"""Connections through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6), or SOCKS by python-socks."""

from __future__ import annotations

import socket
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11

from wschat.client.deadline import Deadline, TimedSocket
from wschat.client.failures import explained
from wschat.client.happy_eyeballs import create_connection, look_up
from wschat.client.proxy import Proxy
from wschat.client.response import Exchange
from wschat.client.tls import start_tls
from wschat.client.uri import Credentials, WebSocketURI, bracketed
from wschat.errors import OpeningFailed, UsageError

if TYPE_CHECKING:
    import ssl


def open_tunnel(proxy: Proxy, uri: WebSocketURI, tls: ssl.SSLContext | None, deadline: Deadline, max_head_bytes: int) -> socket.socket:
    """Connect to the host of a URI through a proxy, and return the socket. `tls` is the context for an `https://` proxy.

    Raises OSError if there is no connection, OpeningFailed if an HTTP proxy refuses, DeadlinePassed, and UsageError.
    """
    if proxy.scheme == "https" and uri.is_secure:
        raise UsageError(f"TLS inside TLS is not supported: reach a wss:// server by an http:// proxy, not by {proxy.place} with https://")
    sock = create_connection(proxy.host, proxy.port, deadline)
    try:
        if proxy.scheme == "https":
            sock = start_tls(sock, proxy.host, proxy.place, tls, deadline, "use http:// instead of https:// in its URL")
        if proxy.scheme.startswith("http"):
            _connect(Exchange(TimedSocket(sock, deadline), proxy.place, max_head_bytes), proxy, uri)
        else:
            _open_socks(sock, proxy, uri, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def basic(credentials: Credentials) -> str:
    """Return the value of an `Authorization` header (RFC 7617)."""
    return f"Basic {b64encode(':'.join(credentials).encode()).decode()}"


def _connect(exchange: Exchange, proxy: Proxy, uri: WebSocketURI) -> None:
    target = f"{bracketed(uri.host.partition('%')[0])}:{uri.port}"
    headers = [("Host", target)]
    if proxy.credentials:
        headers.append(("Proxy-Authorization", basic(proxy.credentials)))
    response = exchange.ask(h11.Request(method="CONNECT", target=target, headers=headers))
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise exchange.failure(response)
    if exchange.already_read():
        raise OpeningFailed(f"{proxy.place} sent data before the client did", response.status, response.headers)


def _open_socks(sock: socket.socket, proxy: Proxy, uri: WebSocketURI, deadline: Deadline) -> None:
    try:
        from python_socks import ProxyError, ProxyType
        from python_socks.sync import Proxy as SocksProxy
    except ImportError:
        raise UsageError("a SOCKS proxy needs python-socks: pip install 'wschat[socks]'") from None
    version = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    user, password = proxy.credentials or (None, None)
    host = uri.host.partition("%")[0]
    if proxy.scheme in ("socks4", "socks5"):  # with the others, the proxy looks up the name
        family = socket.AF_INET if version is ProxyType.SOCKS4 else socket.AF_UNSPEC
        host = look_up(host, uri.port, deadline, family)[0][4][0]
    # Given as the proxy in front of this one, because python-socks itself would connect without the deadline.
    dialed: Any = _Dialed(TimedSocket(sock, deadline))
    try:
        SocksProxy(version, proxy.host, proxy.port, user, password, rdns=True, forward=dialed).connect(host, uri.port)
    except ProxyError as error:
        raise OSError(f"{proxy.place} did not connect to {uri.place}: {error}") from error
    except ValueError:
        raise UsageError(f"the user name and the password for {proxy.place} must have at most 255 bytes each") from None
    except TimeoutError:
        deadline.remaining()
        raise
    except OSError as error:
        raise explained(error, proxy.place) from None


class _Dialed:
    """A connected socket in the form of a proxy of python-socks."""

    def __init__(self, sock: TimedSocket) -> None:
        self._socket = sock

    def connect(self, **_: object) -> TimedSocket:
        """Return the socket."""
        return self._socket
