"""One connection through a fault proxy: the client's socket, the server's, and the two directions between them."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
from collections.abc import Iterator
from math import inf
from time import monotonic

from wschat.testing.client_transcript import ClientTranscript
from wschat.testing.direction import Direction, End

# SO_LINGER with a timeout of 0: a struct of two shorts on Windows, and of two ints elsewhere.
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_CONNECT_TIMEOUT = 5.0


class Link:
    """A client's connection and the connection to the server that it is forwarded to. For the thread of the proxy."""

    def __init__(self, number: int, client: socket.socket, server_address: tuple[str, int], seed: str, opening_delay: float) -> None:
        """`opening_delay` is the time in seconds until the server is connected to."""
        self.number = number
        self.transcript = ClientTranscript(f"connection {number} to port {client.getsockname()[1]}, as its client sees it")
        """What the client has sent and received, and the faults."""
        self._server_address = server_address
        self._opens_at = monotonic() + opening_delay
        self._client = client
        self._server = socket.socket()
        self._is_connected = False
        self.is_open = True
        """False once the connection was cut or both ends have closed it."""
        self._is_closed = False  # both sockets are closed
        for sock in (client, self._server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        self.to_server = Direction("to the server", client, self._server, f"{seed} {number}", self.transcript.note)
        self.to_client = Direction("to the client", self._server, client, f"{seed} {number}", self.transcript.note)
        self.to_server.on_read = self.transcript.sent
        self.to_client.on_written = self.transcript.received
        self.directions = (self.to_server, self.to_client)
        """Both directions."""

    def clear(self) -> None:
        """Remove all faults."""
        self._opens_at = 0.0
        for direction in self.directions:
            direction.clear()

    def cut(self) -> None:
        """Tell both ends the end of the stream (a TCP FIN), and drop what they still send."""
        self.transcript.note("cut")
        self.is_open = False
        if not self._is_connected:
            self.close()
        for direction in self.directions:
            direction.drop_rest()
            with contextlib.suppress(OSError):  # it has left
                direction.target.shutdown(socket.SHUT_WR)

    def reset(self, reason: str = "reset") -> None:
        """Close both connections, each with a TCP RST."""
        self.transcript.note(reason)
        for direction in self.directions:
            direction.drop_rest()
            with contextlib.suppress(OSError):
                direction.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close both connections."""
        self.is_open = False
        self._is_closed = True
        self._client.close()
        self._server.close()

    def proceed(self) -> float | None:
        """Write what is due, and close what has ended. Return the time at which there is more to do, or None if no time is known."""
        if self._is_closed:
            return None
        try:
            if not self._is_connected and not self._connect():
                return None if self._opens_at == inf else self._opens_at
            for direction in self.directions:
                end = direction.write()
                if end is not None:
                    self.cut() if end is End.CUT else self.reset()
                    break
        except OSError as error:
            self.reset(f"reset because an end has gone ({error})")
        if not self._is_closed and all(direction.is_over() for direction in self.directions):
            self.close()
        dues = [] if self._is_closed else [due for direction in self.directions if (due := direction.due()) is not None]
        return min(dues, default=None)

    def interests(self) -> Iterator[tuple[socket.socket, int]]:
        """Yield each socket that is to be waited for, with the events of `selectors`."""
        if self._is_connected and not self._is_closed:
            for inward, outward in (self.directions, reversed(self.directions)):
                events = (selectors.EVENT_READ if inward.wants_to_read() else 0) | (selectors.EVENT_WRITE if outward.is_blocked else 0)
                if events:
                    yield inward.source, events

    def handle(self, sock: socket.socket, events: int) -> None:
        """Note that a socket can be written, or read from it, as these events say. A connection that was reset resets the other."""
        for direction in self.directions:
            if events & selectors.EVENT_WRITE and direction.target is sock:
                direction.is_blocked = False
            if events & selectors.EVENT_READ and direction.source is sock and not self._is_closed:
                try:
                    direction.read()
                except OSError as error:
                    self.reset(f"reset by an end ({error})")

    def _connect(self) -> bool:
        """Connect to the server if it is time for that. Return False if it is too early. Raises OSError."""
        if monotonic() < self._opens_at:
            return False
        self._server.settimeout(_CONNECT_TIMEOUT)
        self._server.connect(self._server_address)
        self._server.setblocking(False)
        self._is_connected = True
        return True
