"""The configuration of a server: every setting is one declaration.

To add a setting, add a field with its docstring, and its option if the command is to have it. `serve` and `WebSocketServer` then take
it as a keyword argument, and `wschat serve` as an option and an environment variable.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from wschat.callables import check_is_not_async
from wschat.errors import UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate
from wschat.protocol.syntax import is_token
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.handlers import check_function
from wschat.server.origins import parse_origins
from wschat.server.proxies import PROXY_HEADERS, Proxies, parse_networks
from wschat.server.requests import check_path_prefix
from wschat.server.responses import HttpHandler
from wschat.server.tls import check_server_context
from wschat.server.wsgi import WsgiApp
from wschat.settings import Option, check_settings, setting

_MAX_BACKLOG = 2**31 - 1  # that of a C int

# Without context takeover, a compressing connection keeps no state between messages, and costs no more memory than another.
DEFAULT_DEFLATE = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)


def _check_limits(limits: object) -> None:
    if not isinstance(limits, Limits):
        raise UsageError(f"limits must be a wschat.Limits, not {limits!r}")


def _check_subprotocols(names: Collection[str]) -> None:
    for name in names:
        if not is_token(name):
            raise UsageError(f"a subprotocol must have letters, digits and !#$%&'*+.^_`|~- only, not {name!r}")


def _check_deflate(deflate: object) -> None:
    if deflate is not None and not isinstance(deflate, Deflate):
        raise UsageError(f"deflate must be a wschat.Deflate, or None for no compression, not {deflate!r}")


def _check_backlog(backlog: object) -> None:
    if not isinstance(backlog, int) or not 0 < backlog <= _MAX_BACKLOG:
        raise UsageError(f"backlog must be a number from 1 to {_MAX_BACKLOG}, not {backlog!r}")


def _check_http(http: Any) -> None:
    if http is not None:
        check_function(http, "http", "the request")


def _check_wsgi(app: Any) -> None:
    if app is None:
        return
    if not callable(app):
        raise UsageError(f"a WSGI application must be callable, not {app!r}")
    check_is_not_async(app, "a WSGI application")  # but it may be a generator function


def _parse_path_prefix(text: str) -> str:
    return text.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The configuration of a `WebSocketServer`. Immutable; may be shared by servers. Raises UsageError for an invalid value."""

    limits: Limits = setting(DEFAULT_LIMITS, check=_check_limits)
    """The limits of the server and of each of its connections."""
    subprotocols: Sequence[str] = setting((), check=_check_subprotocols)
    """The subprotocols that the server speaks (RFC 6455, section 1.9), in order of preference."""
    origins: Collection[str] = setting(
        (),
        check=parse_origins,
        option=Option("--origin", help="Web origin that may connect, besides the server's own; * for all. May be repeated."),
    )
    """The web origins that may connect, besides the server's own; `*` for all (RFC 6455, section 10.2)."""
    public_paths: Collection[str] = setting(())
    """The paths, without the prefix, whose responses by `http` any web page may read. WebSockets are bound to `origins` everywhere."""
    allowed_hosts: Collection[str] = setting(
        (),
        check=AllowedHosts,
        option=Option(
            "--allowed-host",
            metavar="NAME",
            default="loopback names at a loopback address, else *",
            help="Host name that requests may be for; *.NAME for all names below it, * for all. Loopback names are always allowed. "
            "May be repeated.",
        ),
    )
    """The host names that requests may be for, besides loopback names; `*.NAME` for all names below one, `*` for all. If empty: only
    loopback names at a loopback address, else all."""
    deflate: Deflate | None = setting(
        DEFAULT_DEFLATE,
        check=_check_deflate,
        option=Option(
            "--compression",
            choices={"off": None, "shared": DEFAULT_DEFLATE, "context": Deflate()},
            help="Compression of messages for peers that support it: none, each message by itself and once for all peers, or with the "
            "context of earlier messages, which takes up to 600 KB of memory for each connection.",
        ),
    )
    """The compression to agree to (RFC 7692); None for none."""
    backlog: int = setting(
        1024, check=_check_backlog, option=Option("--backlog", help="Connections that the system queues until they are accepted.")
    )
    """The connections that the system queues until they are accepted (`socket.listen`); the system may have a lower limit."""
    tls: ssl.SSLContext | None = setting(None, check=check_server_context)
    """The context for `wss://`; None for `ws://`."""
    trusted_proxies: Collection[str] = setting(
        (),
        check=parse_networks,
        option=Option(
            "--trusted-proxy",
            metavar="CIDR",
            help="Address or network of a proxy whose header names the client's address. May be repeated.",
        ),
    )
    """The addresses or networks of the proxies whose header names the client's address."""
    proxy_header: str = setting(
        PROXY_HEADERS[0],
        option=Option(
            "--proxy-header",
            choices={name: name for name in PROXY_HEADERS},
            help="Header in which trusted proxies name the client's address; the others are ignored. With proxy-protocol, all their "
            "connections must begin with a header of the PROXY protocol, version 1 or 2.",
        ),
    )
    """The header in which trusted proxies name the client's address: `x-forwarded-for`, `forwarded` (RFC 7239), `x-real-ip`, or
    `proxy-protocol` for that with which TCP balancers begin each connection."""
    http: HttpHandler | None = setting(None, check=_check_http)
    """Handler of the requests that do not open a WebSocket; without it, they are refused with 426."""
    wsgi: WsgiApp | None = setting(None, check=_check_wsgi)
    """WSGI application for the requests that do not open a WebSocket (PEP 3333); with `http`, for those without the path prefix."""
    path_prefix: str = setting(
        "",
        check=check_path_prefix,
        option=Option("--path-prefix", parse=_parse_path_prefix, help="Prefix of all paths, as behind a proxy: /chat, for example."),
    )
    """The prefix of all paths: `/chat`, for example."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.wsgi is not None and self.http is not None and not self.path_prefix:
            raise UsageError("with both http= and wsgi=, give the path_prefix= of the requests for http")
        # Parsed now, so that no later change of a list that the caller holds counts.
        _ = self.proxies, self.parsed_origins, self.hosts

    @cached_property
    def has_http(self) -> bool:
        """True if requests that do not open a WebSocket are answered."""
        return self.http is not None or self.wsgi is not None

    @cached_property
    def proxies(self) -> Proxies:
        """The trusted proxies and their header, parsed."""
        return Proxies.parse(self.trusted_proxies, self.proxy_header)

    @cached_property
    def parsed_origins(self) -> frozenset[str]:
        """The origins as browsers write them."""
        return parse_origins(self.origins)

    @cached_property
    def hosts(self) -> AllowedHosts:
        """The allowed hosts, parsed."""
        return AllowedHosts(self.allowed_hosts)


DEFAULT_CONFIG = ServerConfig()


def with_settings(config: ServerConfig, settings: Mapping[str, Any]) -> ServerConfig:
    """Return a configuration with some settings replaced. Raises TypeError for an unknown name, and UsageError for an invalid value."""
    if not isinstance(config, ServerConfig):
        raise UsageError(f"config must be a wschat.ServerConfig, not {config!r}")
    return replace(config, **settings)
