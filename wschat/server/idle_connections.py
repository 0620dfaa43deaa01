"""Connections that wait between two HTTP requests, in the order in which they became idle."""

from __future__ import annotations

import socket
from collections import OrderedDict


class IdleConnections:
    """A queue of sockets that can also be read by address. Not thread-safe: `Connections` holds its lock."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[socket.socket, str | None] = OrderedDict()
        self._by_address: dict[str | None, OrderedDict[socket.socket, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __contains__(self, sock: object) -> bool:
        return sock in self._addresses

    def add(self, sock: socket.socket, address: str | None) -> None:
        """Append a connection. `address` is None for a connection that belongs to no single address."""
        self._addresses[sock] = address
        self._by_address.setdefault(address, OrderedDict())[sock] = None

    def remove(self, sock: socket.socket) -> str | None:
        """Remove a connection, and return its address. Return None if it has no address or is not idle."""
        address = self._addresses.pop(sock, None)
        sockets = self._by_address.get(address)
        if sockets is not None:
            sockets.pop(sock, None)
            if not sockets:
                del self._by_address[address]
        return address

    def count(self, address: str) -> int:
        """Return the number of idle connections from an address."""
        return len(self._by_address.get(address, ()))

    def oldest(self) -> socket.socket:
        """Return the connection that has been idle for longest. Raises StopIteration if none is idle."""
        return next(iter(self._addresses))

    def oldest_from(self, address: str) -> socket.socket:
        """Return the connection from an address that has been idle for longest. Raises KeyError if none is idle."""
        return next(iter(self._by_address[address]))
