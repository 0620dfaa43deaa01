"""What the HTTP connections of a server share: its limits, and the rules by which requests are let in."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wschat.connection.timers import Timers
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate
from wschat.server.addresses import is_on_loopback
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.connections import Connections
from wschat.server.origins import check_origin
from wschat.server.proxies import Proxies
from wschat.server.requests import Request
from wschat.server.responses import HttpHandler


@dataclass(frozen=True)
class HttpSettings:
    """The settings of one server. Thread-safe."""

    connections: Connections
    """The connections of the server."""
    timers: Timers
    """The timers for the peers' timeouts."""
    limits: Limits
    """The limits of the server."""
    subprotocols: Sequence[str]
    """The subprotocols that the server speaks."""
    origins: Collection[str]
    """The allowed origins, as `parse_origins` returns them."""
    deflate: Deflate | None
    """The compression to agree to, or None."""
    proxies: Proxies
    """The trusted proxies."""
    http: HttpHandler | None
    """The application for plain requests, or None to refuse them with 426."""
    path_prefix: str
    """The beginning of all paths, or an empty string."""
    hosts: AllowedHosts | None
    """The names in Host headers that are served, or None for any."""

    def check_page(self, request: Request, sock: socket.socket, *, is_from_proxy: bool) -> None:
        """Raise RequestRefused if the Host is not served (421) or the Origin is not allowed (403).

        A trusted proxy may use a host name of its own, unless names are configured.
        """
        if self.hosts and (self.hosts.names or not is_from_proxy):
            self.hosts.check(request.headers)
        if "origin" in request.headers:
            check_origin(request.headers, self.origins, on_loopback=is_on_loopback(sock))
