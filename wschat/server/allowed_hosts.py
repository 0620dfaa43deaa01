"""The host names that a server answers to, against DNS rebinding.

In that attack, the name of an attacker's page is made to resolve to this server, so that the page has the server's origin.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from http import HTTPStatus

from wschat.errors import RequestRefused, UsageError
from wschat.server.addresses import is_loopback, parse_address

ANY_HOST = "*"
"""Allows every name."""

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d*)?")
_NAME = re.compile(r"(?:\*\.)?[^\s\[\]:/?#@*\\]+")


class AllowedHosts:
    """The names that a server answers to: the given ones and loopback names. Thread-safe."""

    def __init__(self, texts: Collection[str] = ()) -> None:
        """Parse names. Raises UsageError unless each is like `chat.example.com` or `*.example.com`, an IP address or `*`.

        `*.example.com` allows all names below example.com.
        """
        self.names = frozenset(map(_parse_host, texts))

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise RequestRefused (421) if the Host header is not allowed. A missing one is: browsers always send it."""
        host = headers.get("host")
        if host is None or _is_loopback(host) or ANY_HOST in self.names:
            return
        name = _name_in(host)
        _, dot, parent = name.partition(".")
        while dot:
            if f"*.{parent}" in self.names:
                return
            _, dot, parent = parent.partition(".")
        if name not in self.names:
            text = f"This server does not answer to the name {name!r}: allowed_hosts= (for the command, --allowed-host) allows more."
            raise RequestRefused(HTTPStatus.MISDIRECTED_REQUEST, text)


def _parse_host(text: str) -> str:
    address = parse_address(text.strip("[]"))
    if address is not None:
        return str(address)
    name = text.lower().removesuffix(".")
    if text != ANY_HOST and not _NAME.fullmatch(name):
        raise UsageError(f"a host is given like chat.example.com or *.example.com, without a scheme, a port or a path, not as {text!r}")
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise UsageError(f"this cannot be the name of a host: {text!r}") from None


def _name_in(host: str) -> str:
    """Return the name or the address in a Host header, without the port."""
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2] if match else host).lower().removesuffix(".")
    address = parse_address(name)
    return name if address is None else str(address)


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return is_loopback(_name_in(host))
