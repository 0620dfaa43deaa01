"""Opening a WebSocket as a client (RFC 6455, section 4.1): `connect`.

websocket-client makes the connection and the opening: proxies, TLS, redirects, cookies. What comes out is a socket, which
becomes a `Connection`; extensions and subprotocols are offered and checked here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import websocket

from wschat.connection.connection import Connection
from wschat.connection.crew import join_crew, leave_crew
from wschat.connection.keepalive import Deadlines
from wschat.connection.streams import open_stream
from wschat.errors import OpeningFailed, UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol import deflate as permessage_deflate
from wschat.protocol.deflate import Deflate

DEFAULT_DEFLATE = Deflate()

_PROXY_KINDS = ("http", "socks4", "socks4a", "socks5", "socks5h")
_HTTP_PROXY_PORT = 80
_SOCKS_PORT = 1080


def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
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

    `headers` and `cookies` go into the request, `origin` too if it is given. Of the `subprotocols` the server may choose
    one. `proxy` is the URL of an HTTP or SOCKS proxy (SOCKS takes the extra `socks`); without it, `http_proxy`,
    `https_proxy` and `no_proxy` of the environment count. `tls` is the context for `wss://`; without it, certificates are
    verified with the system's authorities. `sock` is a connected socket to use, a Unix one for example. `deflate` is the
    compression to offer, None for none.

    Waits for at most `limits.opening_timeout` seconds. Raises UsageError if something is asked for that cannot be, OSError
    if there is no connection, TimeoutError if it takes too long, and OpeningFailed if the server does not open a WebSocket:
    with its status, headers and body.
    """
    path = _check_url(url)
    opener = _Opener(limits, tls)
    options: dict[str, Any] = {
        "header": _request_headers(headers or {}, subprotocols, deflate),
        "cookie": "; ".join(f"{name}={value}" for name, value in (cookies or {}).items()) or None,
        "origin": origin,
        "suppress_origin": origin is None,
        "redirect_limit": max_redirects,
        "socket": sock,
        **(_proxy_options(proxy) if proxy else {}),
    }
    for text in (*options["header"], options["cookie"] or "", origin or ""):
        if "\r" in text or "\n" in text or "\0" in text:
            raise UsageError(f"a header cannot contain a line break: {text!r}")
    crew = join_crew()
    try:
        connected, answer = opener.open(url, options, crew.deadlines)
        return _connection(connected, answer, path, subprotocols, limits, deflate)
    finally:
        leave_crew(crew)


def _connection(
    connected: socket.socket, answer: dict[str, str], path: str, subprotocols: Sequence[str], limits: Limits, deflate: Deflate | None
) -> Connection:
    """What was opened, if it is what was asked for."""
    try:
        subprotocol = _chosen_subprotocol(answer, subprotocols)
        agreed = _agreed_deflate(answer, deflate)
        return Connection(
            open_stream(connected),
            is_client=True,
            limits=limits,
            path=path,
            headers=answer,
            remote_address=connected.getpeername(),
            subprotocol=subprotocol,
            deflate=agreed,
        )
    except BaseException:
        connected.close()
        raise


class _Opener:
    """One opening by websocket-client, within one deadline for all its steps."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._timeout = limits.opening_timeout
        self._is_late = False
        sslopt = {"context": _Context(tls)}
        self._client = websocket.WebSocket(sslopt=sslopt, enable_multithread=False)

    def open(self, url: str, options: dict[str, Any], deadlines: Deadlines) -> tuple[socket.socket, dict[str, str]]:
        """The connected socket and the headers of the answer."""
        deadline = deadlines.after(self._timeout, self._give_up) if self._timeout else None
        try:
            self._client.connect(url, timeout=self._timeout or None, **options)  # type: ignore[no-untyped-call]
        except websocket.WebSocketBadStatusException as error:
            text = f"the server answered {error.status_code} {error.status_message or ''}".rstrip()
            raise OpeningFailed(text, error.status_code, error.resp_headers, error.resp_body or b"") from None
        except websocket.WebSocketAddressException as error:
            raise OSError(f"the host of {url} was not found: {error}") from error
        except (websocket.WebSocketException, OSError) as error:
            if self._is_late or isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException)):
                raise TimeoutError(f"{url} did not open a WebSocket within {self._timeout} s") from None
            if isinstance(error, OSError):
                raise
            raise OpeningFailed(f"{url} does not open a WebSocket: {error}") from error
        finally:
            if deadline is not None:
                deadline.cancel()
        connected, answer = self._client.sock, self._client.getheaders()
        assert connected is not None
        assert answer is not None
        return connected, answer

    def _give_up(self) -> None:
        """For the deadlines' thread: websocket-client limits each step only, and a server may trickle."""
        self._is_late = True
        connected = self._client.sock
        if connected is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Context:
    """What websocket-client takes for an SSLContext: ours stays as it is, where it would set and load what it thinks best."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self.check_hostname = True
        self.verify_mode = ssl.CERT_REQUIRED

    def load_default_certs(self, purpose: object) -> None:
        """The authorities that are trusted are the caller's choice."""

    def wrap_socket(self, sock: socket.socket, server_hostname: str, **_: object) -> ssl.SSLSocket:
        """The TLS handshake."""
        context = self._context or ssl.create_default_context()  # which takes a while, so not before it is needed
        return context.wrap_socket(sock, server_hostname=server_hostname)


def _check_url(url: str) -> str:
    """The target of the request. Raises UsageError if it is no URL to connect to."""
    if any(character <= " " for character in url):
        raise UsageError(f"a URL contains no blanks or control characters: {url!r}")
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("ws", "wss") or not has_host:
        raise UsageError(f"a WebSocket is at ws://HOST or wss://HOST, not at {url!r}")
    if parts.fragment:
        raise UsageError(f"the URL of a WebSocket has no fragment: {url!r}")
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _request_headers(headers: Mapping[str, str], subprotocols: Sequence[str], deflate: Deflate | None) -> list[str]:
    if isinstance(subprotocols, str):
        raise UsageError("subprotocols is a list of names")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if subprotocols:
        # Not by websocket-client: it would take a server that chooses none for a broken one.
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
    if deflate is not None:
        lines.append(f"Sec-WebSocket-Extensions: {permessage_deflate.offer(deflate)}")
    return lines


def _proxy_options(proxy: str) -> dict[str, Any]:
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{proxy!r} is not a URL: {error}") from None
    if parts.scheme not in _PROXY_KINDS or not parts.hostname:
        raise UsageError(f"a proxy is http://HOST:PORT or one of socks4, socks4a, socks5, socks5h, not {proxy!r}")
    return {
        "http_proxy_host": parts.hostname,
        "http_proxy_port": port or (_HTTP_PROXY_PORT if parts.scheme == "http" else _SOCKS_PORT),
        "http_proxy_auth": (unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
        "proxy_type": parts.scheme,
    }


def _chosen_subprotocol(answer: Mapping[str, str], offered: Sequence[str]) -> str | None:
    chosen = answer.get("sec-websocket-protocol")
    if chosen is not None and chosen not in offered:
        raise OpeningFailed(f"the server chose a subprotocol that was not offered: {chosen!r}", 101, answer)
    return chosen


def _agreed_deflate(answer: Mapping[str, str], offered: Deflate | None) -> Deflate | None:
    chosen = answer.get("sec-websocket-extensions", "")
    if offered is None:
        if chosen:
            raise OpeningFailed(f"the server chose extensions that were not offered: {chosen!r}", 101, answer)
        return None
    try:
        return permessage_deflate.accept_answer(chosen, offered)
    except ValueError as error:
        raise OpeningFailed(str(error), 101, answer) from None
