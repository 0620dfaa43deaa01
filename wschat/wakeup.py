"""A socket pair that wakes a thread, which selects on one end of it."""

from __future__ import annotations

import contextlib
import socket

from wschat.forks import close_in_child

_READ_BYTES = 4096


class WakeUp:
    """A pair of connected sockets. Raises OSError if no descriptors are left."""

    def __init__(self) -> None:
        self._sender, self._receiver = socket.socketpair()
        self._sender.setblocking(False)
        close_in_child(self._sender)  # with that of the parent, a child would wake the parent's thread
        close_in_child(self._receiver)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._receiver.fileno()

    def send(self) -> None:
        """Wake the selecting thread. May be called from any thread and any signal handler; never waits."""
        with contextlib.suppress(OSError):  # full, so the thread is awake; or closed, so it has stopped
            self._sender.send(b"\0")

    def clear(self) -> None:
        """Make the descriptor unreadable until the next `send`. For the selecting thread, once it is readable."""
        self._receiver.recv(_READ_BYTES)

    def close(self) -> None:
        """Close both sockets."""
        self._sender.close()
        self._receiver.close()
