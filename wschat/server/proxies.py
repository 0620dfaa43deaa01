"""Trusted proxies, and the client's address in the header that they add.

Any client can send such a header. Only the header that the operator names is read, and only if the peer is a trusted proxy; of a
list, only the addresses that trusted proxies have added are used, from the right.
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
_PROTO = re.compile(r'(?:^|;)\s*proto\s*=\s*("[^"]*"|[^\s";]*)\s*(?=$|;)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+")


def parse_networks(texts: Collection[str]) -> tuple[Network, ...]:
    """Return the networks in texts like `10.0.0.0/8` or `::1`. Raises UsageError."""
    return tuple(map(_parse_network, texts))


def _parse_network(text: str) -> Network:
    """Return a network. A network of IPv4-mapped IPv6 addresses becomes one of IPv4."""
    if "%" in text:
        raise UsageError(f"an address or a network is given without a zone, not as {text!r}: write {re.sub('%[^/]*', '', text)}")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"this is no address and no network: {error}") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def is_within(host: str, networks: Collection[Network]) -> bool:
    """Return True if a text is an address in one of the networks."""
    address = _parse_node(host)
    return address is not None and any(address in network for network in networks)


@dataclass(frozen=True)
class Proxies:
    """The proxies that are trusted to name their clients, and the header in which they do."""

    networks: tuple[Network, ...] = ()
    """The networks of the proxies."""
    header: str = "x-forwarded-for"
    """The name of the header, one of `PROXY_HEADERS`."""

    @classmethod
    def parse(cls, networks: Collection[str], header: str) -> Proxies:
        """Return the proxies at these addresses or networks. Raises UsageError."""
        if header.lower() not in PROXY_HEADERS:
            raise UsageError(f"the header of a proxy is one of {', '.join(PROXY_HEADERS)}, not {header!r}")
        return cls(parse_networks(networks), header.lower())

    @property
    def use_proxy_protocol(self) -> bool:
        """True if the proxies name their clients by the PROXY protocol, and not in each request."""
        return self.header == PROXY_PROTOCOL

    def include(self, host: str | None) -> bool:
        """Return True if an address is that of a trusted proxy. None, a peer on a Unix socket, is one if any proxy is trusted."""
        return bool(self.networks) and (host is None or is_within(host, self.networks))

    def client_address(self, headers: Mapping[str, str], proxy: str) -> str:
        """Return the address of the client in the headers of a trusted proxy, or `proxy`, its own address, if they name none."""
        client = proxy
        for node in reversed(_NODES_IN[self.header](headers.get(self.header, ""))):
            address = _parse_node(node)
            if address is None:
                break
            client = str(address)
            if not is_within(client, self.networks):
                break
        return client

    def client_scheme(self, headers: Mapping[str, str], scheme: str) -> str:
        """Return the scheme that a trusted proxy names, or `scheme`, that of its connection.

        It is in X-Forwarded-Proto, or in Forwarded if that is the header of the proxies; of a list, the last one counts.
        """
        if self.header == "forwarded":
            named = _PROTO.findall(headers.get("forwarded", "").rpartition(",")[2])
        else:
            named = [headers.get("x-forwarded-proto", "").rpartition(",")[2]]
        found = named[0].strip().strip('"').lower() if len(named) == 1 else ""
        return found if found in ("http", "https") else scheme


def _nodes_in_forwarded(value: str) -> list[str]:
    # No proxy writes an element with two nodes, unless it appends its own to what a client sent: such an element is ignored.
    found = [_FOR.findall(element) for element in value.split(",")]
    return [nodes[0].strip('"') if len(nodes) == 1 else "" for nodes in found]


_NODES_IN: Mapping[str, Callable[[str], list[str]]] = {
    "x-forwarded-for": lambda value: [node for node in value.split(",") if node.strip()],
    "forwarded": _nodes_in_forwarded,
    "x-real-ip": lambda value: [value],  # one address; a repeated header, which is joined with a comma, is not an address
}

PROXY_PROTOCOL = "proxy-protocol"
PROXY_HEADERS = (*_NODES_IN, PROXY_PROTOCOL)
"""The headers in which a proxy can name its client: the first is the default, the last one that of the PROXY protocol."""


def _parse_node(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`, or None."""
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    return parse_address((match[1] or match[2]) if match else text)
