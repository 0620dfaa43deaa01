"""What wakes the thread that accepts: one end of a pair of sockets for it to select on, the other for whoever wakes it."""

from __future__ import annotations

import contextlib
import os
import socket


class WakeUp:
    """A pair of sockets. `send` is for any thread and any signal handler, and never waits. Raises OSError without descriptors."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._sender, self._receiver = socket.socketpair()
        self._sender.setblocking(False)
        self._process = os.getpid()

    def fileno(self) -> int:
        """What to select on for reading."""
        return self._receiver.fileno()

    def send(self) -> None:
        """Wake the thread that selects."""
        with contextlib.suppress(OSError):  # full, so it is awake; or closed, so it has stopped
            self._sender.send(b"\0")

    def renew_in_child(self) -> None:
        """In a forked child, have a pair of one's own: that of the parent wakes all its children."""
        if self._process != os.getpid():
            self.close()
            self._open()

    def close(self) -> None:
        """Give the sockets back."""
        self._sender.close()
        self._receiver.close()
