"""Proxies: the address that a request comes from, where a trusted proxy vouches for it.

Anyone can send the headers in which proxies say so. Only the one that the operator names is read, and of a list only what
trusted proxies have added to it: from the right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from wschat.errors import UsageError
from wschat.server.addresses import parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A parameter of an element of Forwarded (RFC 7239): `for=192.0.2.1`, `for="[2001:db8::1]:4711"`.
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^\s";]*)\s*(?=$|;)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+")


def parse_networks(texts: Collection[str]) -> tuple[Network, ...]:
    """Return the networks that these texts name: `10.0.0.0/8`, `::1`. Raises UsageError."""
    return tuple(map(_parse_network, texts))


def _parse_network(text: str) -> Network:
    """Return a network of IPv4 addresses as such, even if it is written as one of IPv6."""
    if "%" in text:
        raise UsageError(f"an address or a network is given without a zone, not as {text!r}: write {re.sub('%[^/]*', '', text)}")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"this is no address and no network: {error}") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def is_within(host: str, networks: Collection[Network]) -> bool:
    """Return True if this is an address in one of these networks."""
    address = _parse_node(host)
    return address is not None and any(address in network for network in networks)


@dataclass(frozen=True)
class Proxies:
    """The proxies that are trusted to say for whom they ask, and the header in which they do."""

    networks: tuple[Network, ...] = ()
    header: str = "x-forwarded-for"

    @classmethod
    def parse(cls, networks: Collection[str], header: str) -> Proxies:
        """Return the proxies at these addresses or networks. Raises UsageError."""
        if header.lower() not in PROXY_HEADERS:
            raise UsageError(f"the header of a proxy is one of {', '.join(PROXY_HEADERS)}, not {header!r}")
        return cls(parse_networks(networks), header.lower())

    def include(self, host: str | None) -> bool:
        """Return True for the address of a trusted proxy. If there are any, the clients of a Unix socket (None) are trusted, too."""
        return bool(self.networks) and (host is None or is_within(host, self.networks))

    def vouched_address(self, headers: Mapping[str, str], proxy: str) -> str:
        """Return the address for which the trusted proxy at the address `proxy` asks: `proxy` itself if it does not say."""
        known = proxy
        for node in reversed(_NODES_IN[self.header](headers.get(self.header, ""))):
            address = _parse_node(node)
            if address is None:
                break
            known = str(address)
            if not is_within(known, self.networks):
                break
        return known


def _nodes_in_forwarded(value: str) -> list[str]:
    # An element that names more than one node is the work of an attacker, or of a proxy that joins its own to a client's.
    found = [_FOR.findall(element) for element in value.split(",")]
    return [nodes[0].strip('"') if len(nodes) == 1 else "" for nodes in found]


_NODES_IN: Mapping[str, Callable[[str], list[str]]] = {
    "x-forwarded-for": lambda value: [node for node in value.split(",") if node.strip()],
    "forwarded": _nodes_in_forwarded,
    "x-real-ip": lambda value: [value],  # one address; two such headers, joined with a comma, are none
}

PROXY_HEADERS = tuple(_NODES_IN)
"""The headers in which a proxy can say for whom it asks; the first is the default."""


def _parse_node(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`, or None."""
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    return parse_address((match[1] or match[2]) if match else text)
