"""Which names a server answers to, against DNS rebinding: a page of an attacker becomes one of ours when its name means our address."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from http import HTTPStatus

from wschat.errors import RequestRefused, UsageError
from wschat.server.addresses import is_loopback, parse_address

ANY_HOST = "*"

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d*)?")
_NAME = re.compile(r"(?:\*\.)?[^\s\[\]:/?#@*\\]+")


class AllowedHosts:
    """The names that a server answers to: those that it is given, and the loopback ones. From any thread."""

    def __init__(self, texts: Collection[str] = ()) -> None:
        """Raises UsageError for what is not `chat.example.com`, `*.example.com` (with all names below it), an address or `*`."""
        self.names = frozenset(map(_parse_host, texts))

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise RequestRefused (421) if this server does not answer to the name in the Host header. Browsers always send one."""
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
    """Return the name or the address in a Host header, without a port."""
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2] if match else host).lower().removesuffix(".")
    address = parse_address(name)
    return name if address is None else str(address)


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return is_loopback(_name_in(host))
