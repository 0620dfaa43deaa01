"""IP addresses of people: written in one way, so that they can be compared."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from wschat.server.addresses import host_of, parse_address


@lru_cache(1024)  # an opening asks for it three times
def canonical_address(text: str) -> str | None:
    """Return the address in the form in which addresses are compared, or None if the text is not one."""
    address = parse_address(text)
    return None if address is None else str(address)


def address_of(remote_address: object) -> str | None:
    """Return the canonical address of a connection, or None for a local socket."""
    host = host_of(remote_address)
    return None if host is None else canonical_address(host)


def is_same_place(one: str, other: str) -> bool:
    """Return True if two canonical addresses are likely to be one person's: the same, or of one /64, of which a home may take any."""
    if ":" not in one or ":" not in other:
        return one == other
    first, second = ipaddress.IPv6Address(one), ipaddress.IPv6Address(other)
    # All that are connected to one link share the prefix of link-local addresses.
    return first == second if first.is_link_local else int(first) >> 64 == int(second) >> 64


def place_of(address: str | None) -> str:
    """Return what addresses from which one person may come have in common, to count attempts by. None is a local socket."""
    if address is None:
        return "a local socket"
    return address if ":" not in address else str(ipaddress.ip_network((address, 64), strict=False))
