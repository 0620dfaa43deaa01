"""The deadline that all steps of an opening share."""

from __future__ import annotations

import socket
from time import monotonic


class DeadlinePassed(TimeoutError):
    """The deadline of the opening has passed. Internal: `connect` turns it into a TimeoutError that names the server."""


class Deadline:
    """The time at which an opening fails, `seconds` from now; 0 for no deadline."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = monotonic() + seconds if seconds else None

    def remaining(self) -> float | None:
        """Return the seconds left, or None if there is no deadline. Raises DeadlinePassed if none are left."""
        if self._until is None:
            return None
        left = self._until - monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left


class TimedSocket:
    """A connected socket whose calls all end by one deadline. For one thread. Raises DeadlinePassed and OSError."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def recv(self, max_bytes: int) -> bytes:
        """Wait for bytes, and return them; b"" at the end of the stream."""
        self._socket.settimeout(self._deadline.remaining())
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError:
            self._deadline.remaining()
            raise

    def sendall(self, data: bytes) -> None:
        """Wait until all bytes are written."""
        self._socket.settimeout(self._deadline.remaining())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            self._deadline.remaining()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
