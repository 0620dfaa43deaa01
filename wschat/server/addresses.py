"""IP addresses, as peers, headers, options and people write them. Each has one normal form, so that equal addresses compare equal."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """Return the address in a text, or None if it is not an address.

    An IPv4-mapped IPv6 address, as a dual-stack socket shows it, becomes IPv4. A zone (`fe80::1%eth0`) is dropped: it may be any
    text, and names an interface of this machine, not the peer.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Return True if a host name or an address is a loopback one."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def host_of(client_address: Any) -> str | None:
    """Return the address of a socket without its port, or None for a Unix socket."""
    return str(client_address[0]) if isinstance(client_address, tuple) else None


def is_on_loopback(sock: socket.socket) -> bool:
    """Return True if a socket is bound to an address that only this machine can reach. A Unix socket is."""
    return sock.family not in (socket.AF_INET, socket.AF_INET6) or is_loopback(sock.getsockname()[0])
