"""Insiders: who may see how the server is doing: who is on its machine, and a moderator of all rooms."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from wschat.chat.addresses import canonical_address
from wschat.chat.visits import Visits
from wschat.errors import RequestRefused
from wschat.server.answers import Call
from wschat.server.origins import is_loopback

_PROXIES_SAY = ("forwarded", "via", "x-forwarded-", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def check_insider(visits: Visits, call: Call) -> None:
    """Raise RequestRefused (401, 403) for everybody else."""
    if _is_local(call):
        return
    if not visits.begin(call.request).is_moderator:
        text = "This is for moderators, and for who is on the server's own machine."
        challenge = visits.challenge
        if challenge is None or "authorization" in call.request.headers:
            raise RequestRefused(HTTPStatus.FORBIDDEN, text)
        raise RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": challenge})


def _is_local(call: Call) -> bool:
    """Whether somebody is on this machine who does not ask for somebody else."""
    headers, address = call.request.headers, call.request.remote_address
    # A proxy is on this machine, and whoever it asks for need not be. Those that do not say so, as nginx by itself, speak HTTP/1.0.
    if call.request.version == "1.0" or any(name.startswith(_PROXIES_SAY) for name in headers):
        return False
    if isinstance(address, tuple) and not is_loopback(canonical_address(str(address[0])) or ""):
        return False
    # Any name may be made to mean this machine, by a page that would then read what is not for it.
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:  # such as half an IPv6 address
        host = None
    return host is not None and is_loopback(host)
