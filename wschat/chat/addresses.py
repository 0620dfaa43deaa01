"""IP addresses of people: written in one way, so that they can be compared."""

from __future__ import annotations

import ipaddress


def canonical_address(text: str) -> str | None:
    """The address as it is compared, None for what is none. A socket that takes IPv4 as well shows it as IPv6: that is undone."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:  # a zone may be any text
        return None
    return str((isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address)


def address_of(remote_address: object) -> str | None:
    """The canonical address of a connection; None for a local socket."""
    return canonical_address(str(remote_address[0])) if isinstance(remote_address, tuple) else None


def is_same_place(one: str, other: str) -> bool:
    """Whether two canonical addresses are somebody's: the same, or of one /64, as a home has it, of which one may take any."""
    if ":" not in one or ":" not in other:
        return one == other
    return int(ipaddress.ip_address(one)) >> 64 == int(ipaddress.ip_address(other)) >> 64


def place_of(address: str | None) -> str:
    """What is the same for two canonical addresses of one place, in the sense of `is_same_place`; None is a local socket."""
    if address is None:
        return "a local socket"
    return address if ":" not in address else str(ipaddress.ip_network((address, 64), strict=False))


def is_loopback(address: str) -> bool:
    """Whether this canonical address is one of this machine's own."""
    return ipaddress.ip_address(address).is_loopback
