"""IP addresses of clients: in one form, so that they can be compared, and grouped by the networks of one subscriber."""

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


def is_same_network(one: str, other: str) -> bool:
    """Return True if two canonical addresses are equal, or in one /64, from which one subscriber may use any address."""
    if ":" not in one or ":" not in other:
        return one == other
    first, second = ipaddress.IPv6Address(one), ipaddress.IPv6Address(other)
    # All hosts on one link share the prefix of link-local addresses.
    return first == second if first.is_link_local else int(first) >> 64 == int(second) >> 64


def network_of(address: str | None) -> str:
    """Return the key by which attempts from an address are counted: the address itself, or its /64. None is a local socket."""
    if address is None:
        return "a local socket"
    return address if ":" not in address else str(ipaddress.ip_network((address, 64), strict=False))
