"""A worker of `wschat serve --workers`: the socket that it serves, and its link to the process that has started it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from wschat.daemons import start_daemon
from wschat.forks import close_in_child

VARIABLE = "_WSCHAT_WORKER"
"""The environment variable that makes a process a worker: its index, and the descriptors of the socket and of the link."""


class Worker:
    """This process as a worker."""

    def __init__(self, index: int, listening: socket.socket, link: socket.socket) -> None:
        self.index = index
        """The index of the worker, from 0."""
        self.listening = listening
        """The socket to serve."""
        self.is_replaced = False
        """True if the worker is to stop because a successor serves the same socket."""
        self._link = link

    def report_ready(self, announcement: str, stop: Callable[[], None]) -> None:
        """Report that this worker serves. From then on, call `stop` once it is replaced, or the process that has started it has ended."""

        def watch() -> None:
            with contextlib.suppress(OSError):
                self.is_replaced = self._link.recv(1) != b""
            stop()

        with contextlib.suppress(OSError):  # the other process has ended, which the thread notices
            self._link.sendall(announcement.encode("utf-8", "backslashreplace") + b"\n")
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
        close_in_child(sock)
    return Worker(index, *sockets)
