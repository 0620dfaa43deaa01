"""IP addresses, as peers, headers, options and people write them. Each has one form here, so that two texts of one address are equal."""

from __future__ import annotations

import ipaddress
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """Return the address that a text is, or None.

    An IPv4 address that is written as one of IPv6, as a socket for both shows it, becomes IPv4. A zone (`fe80::1%eth0`) is left
    out: it may be any text, and says which interface of this machine the address was seen at, not whose it is.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Return True if a host name or an address means this machine."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def host_of(client_address: Any) -> str | None:
    """Return the address of a socket without its port, or None for a Unix socket."""
    return str(client_address[0]) if isinstance(client_address, tuple) else None
