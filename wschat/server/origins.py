"""Which web pages may connect: the check against cross-site WebSocket hijacking (RFC 6455, section 10.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from wschat.errors import RequestRefused

ANY_ORIGIN = "*"


def check_origin(headers: Mapping[str, str], allowed: Collection[str], *, on_loopback: bool) -> None:
    """Raise RequestRefused (403) if the request comes from a page that may not connect.

    May connect: what is no browser (it sends no Origin), a page of this very server, the allowed origins (`*` for all), and,
    to a server on a loopback address, any page from a loopback address.
    """
    origin = headers.get("origin")
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        host = None
    if host is not None:
        if parts.netloc.lower() == headers.get("host", "").lower():
            return
        if on_loopback and is_loopback(host):
            return
    raise RequestRefused(HTTPStatus.FORBIDDEN, f"Pages from {origin!r} may not connect to this server; its option --origin allows more.")


def is_loopback(host: str) -> bool:
    """Whether a host name or an address means this machine."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
