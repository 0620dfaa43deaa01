"""Access to the metrics and the dashboard: from this machine or a configured network, or as a moderator of all rooms."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from wschat.chat.http import HttpGateway
from wschat.errors import RequestRefused
from wschat.server.addresses import is_loopback
from wschat.server.proxies import Network, is_within
from wschat.server.requests import Request

_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


class MetricsAccess:
    """Grants access to this machine, to `networks`, and to moderators of all rooms. Thread-safe."""

    def __init__(self, gateway: HttpGateway, networks: Collection[Network] = ()) -> None:
        self._gateway = gateway
        self._networks = networks

    def check(self, request: Request) -> None:
        """Raise RequestRefused (401, 403, 429) if the caller has no access."""
        if not _is_from_proxy(request) and (self._is_in_network(request) or _is_local(request)):
            return
        if not self._gateway.identify(request).is_moderator:
            text = "This is for moderators, for clients on the server's own machine, and for networks that it is configured with."
            challenge = self._gateway.challenge
            if challenge is None or "authorization" in request.headers:
                raise RequestRefused(HTTPStatus.FORBIDDEN, text)
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": challenge})

    def _is_in_network(self, request: Request) -> bool:
        # The Host header does not matter: by DNS rebinding, a page could read nothing but metrics.
        address = request.remote_address
        return isinstance(address, tuple) and is_within(str(address[0]), self._networks)


def _is_from_proxy(request: Request) -> bool:
    """Return True if the client is a proxy. nginx without configuration sends no header, but speaks HTTP/1.0."""
    return request.version == "1.0" or any(name.startswith(_PROXY_HEADERS) for name in request.headers)


def _is_local(request: Request) -> bool:
    """Return True if the client is on this machine, and its Host header names this machine."""
    address = request.remote_address
    if isinstance(address, tuple) and not is_loopback(str(address[0])):
        return False
    # By DNS rebinding, a page of any other host could read the metrics.
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # such as half an IPv6 address
        host = None
    return host is not None and is_loopback(host)
