"""The deadline that all steps of an opening share, and how another thread ends them early."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from time import monotonic


class DeadlinePassed(TimeoutError):
    """The deadline of the opening has passed. Internal: `connect` turns it into a TimeoutError that names the server."""


class Deadline:
    """The time at which an opening fails, `seconds` from now; 0 for no deadline. It can be brought forward to now by `cancel`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """The seconds given."""
        self._until = monotonic() + seconds if seconds else None
        # Guards `_is_cancelled` and `_wake`. Reentrant, because a signal handler may cancel what its own thread is doing.
        self._cancel_lock = threading.RLock()
        self._is_cancelled = False
        self._wake: Callable[[], object] | None = None

    def remaining(self) -> float | None:
        """Return the seconds left, or None if there is no deadline. Raises DeadlinePassed if none are left."""
        with self._cancel_lock:
            if self._is_cancelled:
                raise DeadlinePassed
        if self._until is None:
            return None
        left = self._until - monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left

    def wake_by(self, wake: Callable[[], object]) -> None:
        """Set the function by which `cancel` ends the waits that follow, each of which is preceded by `remaining`.

        It may be called from any thread and any signal handler, and also once the waits are over.
        """
        with self._cancel_lock:
            self._wake = wake

    def cancel(self) -> None:
        """End the opening as if its time were over. May be called from any thread and any signal handler; never waits."""
        with self._cancel_lock:
            self._is_cancelled = True
            wake = self._wake
        if wake is not None:
            wake()


class TimedSocket:
    """A connected socket whose calls all end by one deadline. For one thread. Raises DeadlinePassed and OSError."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        deadline.wake_by(lambda: shut_down(sock))

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


def shut_down(sock: socket.socket) -> None:
    """End the calls of another thread on a connected socket, also within TLS. Does nothing once it is closed."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket.shutdown, which drops the TLS object that is in use
