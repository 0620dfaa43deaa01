"""What the HTTP connections of a server share: its limits, and the rules by which requests are let in."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from wschat.connection.timers import Timers
from wschat.server.addresses import is_on_loopback
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.config import ServerConfig
from wschat.server.connections import Connections
from wschat.server.origins import READABLE_BY_ALL, check_origin, cross_origin_headers
from wschat.server.requests import Request


@dataclass(frozen=True)
class HttpSettings:
    """The settings of one server. Thread-safe."""

    connections: Connections
    """The connections of the server."""
    timers: Timers
    """The timers for the peers' timeouts."""
    config: ServerConfig
    """The configuration of the server."""
    hosts: AllowedHosts | None
    """The names in Host headers that are served, or None for any."""

    def check_host(self, request: Request, *, is_from_proxy: bool) -> None:
        """Raise RequestRefused if the Host is not served (421).

        A trusted proxy may use a host name of its own, unless names are configured.
        """
        if self.hosts and (self.hosts.names or not is_from_proxy):
            self.hosts.check(request.headers)

    def check_page(self, request: Request, sock: socket.socket, *, is_from_proxy: bool) -> None:
        """Raise RequestRefused if the Host is not served (421) or the Origin is not allowed (403)."""
        self.check_host(request, is_from_proxy=is_from_proxy)
        if "origin" in request.headers:
            check_origin(request.headers, self.config.parsed_origins, on_loopback=is_on_loopback(sock))

    def page_headers(self, request: Request, sock: socket.socket, *, is_from_proxy: bool) -> dict[str, str]:
        """Return the headers that let the requesting page read the response to a plain request. Raises RequestRefused as `check_page` does.

        A public path may be read by any page.
        """
        if request.path in self.config.public_paths:
            self.check_host(request, is_from_proxy=is_from_proxy)
            return READABLE_BY_ALL
        self.check_page(request, sock, is_from_proxy=is_from_proxy)
        return cross_origin_headers(request, self.config.parsed_origins) if "origin" in request.headers else {}
