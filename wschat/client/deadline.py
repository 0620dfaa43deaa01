"""The one deadline of an opening, handed from step to step."""

from __future__ import annotations

import socket
from time import monotonic


class DeadlinePassed(TimeoutError):
    """The opening takes too long. Inside this package only: `connect` says what took so long."""


class Deadline:
    """A time that all steps of an opening have in common."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from now; 0 is no deadline."""
        self.seconds = seconds
        self._until = monotonic() + seconds if seconds else None

    def remaining(self) -> float | None:
        """The seconds left, or None without a deadline. Raises DeadlinePassed once there are none."""
        if self._until is None:
            return None
        left = self._until - monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left


class TimedSocket:
    """A connected socket whose every call has until a deadline. For one thread. Raises DeadlinePassed and OSError."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def recv(self, max_bytes: int) -> bytes:
        """Wait for bytes and return them; b"" at the end of the stream."""
        self._socket.settimeout(self._deadline.remaining())
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError:
            self._deadline.remaining()
            raise

    def sendall(self, data: bytes) -> None:
        """Wait until all of it is written."""
        self._socket.settimeout(self._deadline.remaining())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            self._deadline.remaining()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
