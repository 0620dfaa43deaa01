"""Proxies: the address that a request comes from, where a trusted proxy vouches for it (RFC 7239).

Anybody can write these headers. They count only as far as proxies that are trusted have written them: from the right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

from wschat.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# One parameter of an element of Forwarded: `for=192.0.2.1`, `for="[2001:db8::1]:4711"`.
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^\s";]*)\s*(?:$|;)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+")


def parse_networks(texts: Collection[str]) -> tuple[Network, ...]:
    """The networks that these texts name: `10.0.0.0/8`, `::1`. Raises UsageError."""
    try:
        return tuple(map(_network, texts))
    except ValueError as error:
        raise UsageError(f"this is no address and no network: {error}") from None


def _network(text: str) -> Network:
    """A network of IPv4 addresses as such, even if it is written as one of IPv6."""
    network = ipaddress.ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def is_within(host: str, networks: Collection[Network]) -> bool:
    """Whether this is an address in one of these networks."""
    address = _address(host)
    return address is not None and any(address in network for network in networks)


def vouched_address(headers: Mapping[str, str], proxy: str, trusted: Collection[Network]) -> str:
    """The address of whoever asked the trusted proxy at the address `proxy`; that one itself if it does not say."""
    known = proxy
    for element in reversed(_forwarded_for(headers)):
        address = _address(element)
        if address is None:
            break
        known = str(address)
        if not is_within(known, trusted):
            break
    return known


def _forwarded_for(headers: Mapping[str, str]) -> list[str]:
    if "forwarded" not in headers:
        return [element for element in headers.get("x-forwarded-for", "").split(",") if element.strip()]
    elements = []
    for element in headers["forwarded"].split(","):
        match = _FOR.search(element)
        elements.append(match[1].strip('"') if match else "")
    return elements


def _address(text: str) -> Address | None:
    """The IP address in `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`, or None."""
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    # A socket that takes IPv4 as well has IPv4 addresses like this.
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
