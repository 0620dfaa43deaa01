"""A worker of `wschat serve --workers`: the socket that it serves, and its link to the process that has started it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from wschat.daemons import start_daemon

VARIABLE = "_WSCHAT_WORKER"
"""The environment variable that makes a process a worker: its index, and the descriptors of the socket and of the link."""


class Worker:
    """This process as a worker. `index` counts the workers from 0, and `listening` is the socket to serve."""

    def __init__(self, index: int, listening: socket.socket, link: socket.socket) -> None:
        self.index = index
        """The index of the worker, from 0."""
        self.listening = listening
        """The socket to serve."""
        self._link = link

    def report_ready(self, announcement: str, on_orphaned: Callable[[], None]) -> None:
        """Report that this worker serves, and from then on call a function once the process that has started it has ended."""

        def watch() -> None:
            with contextlib.suppress(OSError):
                self._link.recv(1)  # nothing is ever sent: it returns at the end of the other process
            on_orphaned()

        with contextlib.suppress(OSError):  # the other process has ended, which the thread notices
            self._link.sendall(f"{announcement}\n".encode())
        start_daemon(watch, "wschat-worker-link")


def this_worker() -> Worker | None:
    """Return this process as a worker, None if it is none. To be called once: the variables of the process that started it are removed."""
    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return None
    os.environ.pop("NOTIFY_SOCKET", None)  # the other process speaks to systemd
    index, listening, link = map(int, given.split())
    sockets = socket.socket(fileno=listening), socket.socket(fileno=link)
    for sock in sockets:
        sock.set_inheritable(False)
    return Worker(index, *sockets)
