"""IP addresses of people: written in one way, so that they can be compared."""

from __future__ import annotations

import ipaddress


def canonical_address(text: str) -> str | None:
    """The address as it is compared, None for what is none. A socket that takes IPv4 as well shows it as IPv6: that is undone."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str((isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address)


def is_loopback(address: str) -> bool:
    """Whether this canonical address is one of this machine's own."""
    return ipaddress.ip_address(address).is_loopback
