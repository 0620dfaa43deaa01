"""The PROXY protocol, versions 1 and 2: a header with which a TCP balancer begins each connection, to name its client.

See https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import NamedTuple, NoReturn

from wschat.counters import Refusal, counters
from wschat.errors import HttpConnectionClosed
from wschat.server.addresses import host_of, parse_address
from wschat.server.connections import Connections
from wschat.server.logs import log_refused

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # of version 2; shorter than any header of version 1
_MAX_LINE_BYTES = 107  # of version 1, with its end
_LINE = re.compile(r"PROXY (?:UNKNOWN(?: [^\r]*)?|TCP([46]) (\S+) \S+ (\d{1,5}) \d{1,5})\r\n")
_VERSION_2, _LOCAL, _PROXY = 0x20, 0, 1
# The sizes of an address, by the byte for family and transport: TCP over IPv4 and IPv6.
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
_SSL, _CLIENT_USED_SSL = 0x20, 1


class ProxiedClient(NamedTuple):
    """The client of a proxy."""

    address: object
    """Its address, as `socket` has it; that of the proxy if the header names none, as for a health check."""
    scheme: str | None = None
    """`https` if the proxy tells that it has decrypted the connection (version 2); None if it does not tell."""


def receive_client(sock: socket.socket, proxy_address: object, connections: Connections) -> ProxiedClient:
    """Receive the header, and count the connection for the client. Waits. Raises HttpConnectionClosed if that is not possible."""
    try:
        client = _receive(sock, proxy_address)
    except (OSError, ValueError) as error:
        _refuse(proxy_address, Refusal.NO_PROXY_HEADER, f": {error}")
    host = host_of(client.address)
    if host is not None and not connections.set_address(sock, host):
        _refuse(client.address, Refusal.TOO_MANY_CONNECTIONS)
    return client


def _refuse(address: object, reason: Refusal, detail: str = "") -> NoReturn:
    counters.count_refusal(reason)
    log_refused(address, f"{reason.value}{detail}")
    raise HttpConnectionClosed(reason.value)


def _receive(sock: socket.socket, proxy_address: object) -> ProxiedClient:
    """Receive a header. Raises ValueError if it is not valid."""
    start = _receive_exactly(sock, len(_SIGNATURE))
    if start == _SIGNATURE:
        command, kind, length = struct.unpack("!BBH", _receive_exactly(sock, 4))
        return _parse_block(command, kind, _receive_exactly(sock, length), proxy_address)
    if not start.startswith(b"PROXY "):
        raise ValueError(f"it begins with {start!r}")
    while not start.endswith(b"\r\n") and len(start) < _MAX_LINE_BYTES:
        start += _receive_exactly(sock, 1)
    return _parse_line(start, proxy_address)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Receive bytes below TLS, and none of what follows. Raises ValueError if the connection ends before."""
    data = b""
    while len(data) < size:
        received = socket.socket.recv(sock, size - len(data))
        if not received:
            raise ValueError("the connection has ended")
        data += received
    return data


def _parse_line(line: bytes, proxy_address: object) -> ProxiedClient:
    """Parse a header of version 1. Raises ValueError."""
    match = _LINE.fullmatch(line.decode("ascii", "backslashreplace"))
    if not match:
        raise ValueError(f"it is {line!r}")
    version, host, port = match.groups()
    return ProxiedClient(_address(host, int(port)) if version else proxy_address)


def _parse_block(command: int, kind: int, block: bytes, proxy_address: object) -> ProxiedClient:
    """Parse what follows the signature of version 2. Raises ValueError."""
    if command == _VERSION_2 | _LOCAL:
        return ProxiedClient(proxy_address)
    if command != _VERSION_2 | _PROXY:
        raise ValueError(f"version and command are {command:#x}")
    size = _ADDRESS_BYTES.get(kind)
    if size is None:
        return ProxiedClient(proxy_address)  # a Unix socket, or UDP
    end = 2 * size + 4
    if len(block) < end:
        raise ValueError(f"its addresses have {len(block)} bytes, not {end}")
    host = socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, block[:size])
    (port,) = struct.unpack_from("!H", block, 2 * size)
    return ProxiedClient(_address(host, port), "https" if _is_encrypted(block[end:]) else None)


def _address(host: str, port: int) -> tuple[str, int]:
    """Return an address in its normal form. Raises ValueError."""
    address = parse_address(host)
    if address is None or port > 0xFFFF:
        raise ValueError(f"this is no address and port: {host} {port}")
    return str(address), port


def _is_encrypted(extensions: bytes) -> bool:
    """Return True if the extensions tell that the client has used TLS. Raises ValueError if they are cut."""
    while extensions:
        if len(extensions) < 3:
            raise ValueError("an extension is cut")
        kind, length = struct.unpack_from("!BH", extensions)
        value, extensions = extensions[3 : 3 + length], extensions[3 + length :]
        if len(value) < length:
            raise ValueError("an extension is cut")
        if kind == _SSL:
            return length > 0 and bool(value[0] & _CLIENT_USED_SSL)
    return False
