"""Idle connections: those that wait between two HTTP requests, in the order in which they began to."""

from __future__ import annotations

import socket
from collections import OrderedDict


class IdleConnections:
    """A queue of sockets, and one for each address. Not locked: for one thread at a time."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[socket.socket, str | None] = OrderedDict()
        self._of_address: dict[str | None, OrderedDict[socket.socket, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, sock: socket.socket, address: str | None) -> None:
        """Append a connection from an address, None for one that cannot be said to be from any."""
        self._addresses[sock] = address
        self._of_address.setdefault(address, OrderedDict())[sock] = None

    def remove(self, sock: socket.socket) -> str | None:
        """Remove a connection. Return its address, None also if the connection was not idle."""
        address = self._addresses.pop(sock, None)
        of_address = self._of_address.get(address)
        if of_address is not None:
            of_address.pop(sock, None)
            if not of_address:
                del self._of_address[address]
        return address

    def count(self, address: str) -> int:
        """Return how many are from this address."""
        return len(self._of_address.get(address, ()))

    def longest(self) -> socket.socket:
        """Return the one that has been idle for longest. Raises StopIteration if there is none."""
        return next(iter(self._addresses))

    def longest_from(self, address: str) -> socket.socket:
        """Return the one from this address that has been idle for longest. Raises KeyError if there is none."""
        return next(iter(self._of_address[address]))
