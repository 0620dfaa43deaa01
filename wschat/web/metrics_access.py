"""MetricsAccess: who may see how the server is doing: who is on its machine or in a network that is named, and a moderator of all rooms."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from wschat.chat.http import HttpGateway
from wschat.errors import RequestRefused
from wschat.server.addresses import is_loopback
from wschat.server.proxies import Network, is_within
from wschat.server.requests import Request

_PROXIES_SAY = ("forwarded", "via", "x-forwarded-", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


class MetricsAccess:
    """Who is on this machine or in one of `networks`, and moderators of all rooms. From any thread."""

    def __init__(self, gateway: HttpGateway, networks: Collection[Network] = ()) -> None:
        self._gateway = gateway
        self._networks = networks

    def check(self, request: Request) -> None:
        """Raise RequestRefused (401, 403, 429) for everybody else."""
        if not _is_for_somebody_else(request) and (self._is_in_network(request) or _is_local(request)):
            return
        if not self._gateway.identify(request).is_moderator:
            text = "This is for moderators, for who is on the server's own machine, and for networks that it names."
            challenge = self._gateway.challenge
            if challenge is None or "authorization" in request.headers:
                raise RequestRefused(HTTPStatus.FORBIDDEN, text)
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": challenge})

    def _is_in_network(self, request: Request) -> bool:
        # By whatever name they know this server: figures are all that a page could read which has its name mean this machine.
        address = request.remote_address
        return isinstance(address, tuple) and is_within(str(address[0]), self._networks)


def _is_for_somebody_else(request: Request) -> bool:
    """Whether it is a proxy that asks. One that does not say so by a header, as nginx by itself, speaks HTTP/1.0."""
    return request.version == "1.0" or any(name.startswith(_PROXIES_SAY) for name in request.headers)


def _is_local(request: Request) -> bool:
    """Whether somebody is on this machine, and has asked for this machine."""
    address = request.remote_address
    if isinstance(address, tuple) and not is_loopback(str(address[0])):
        return False
    # Any name may be made to mean this machine, by a page that would then read what is not for it.
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # such as half an IPv6 address
        host = None
    return host is not None and is_loopback(host)
