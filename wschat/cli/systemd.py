"""The protocols of systemd: a listening socket that it passes (socket activation), and notifications of its state.

See sd_listen_fds(3) and sd_notify(3). Without systemd, no variable of these is set, and nothing is done.
"""

from __future__ import annotations

import logging
import os
import socket

from wschat.errors import UsageError
from wschat.forks import close_in_child

logger = logging.getLogger("wschat.server")

_FIRST_FD = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed_socket() -> socket.socket | None:
    """Return the socket that systemd has passed to this process, None without one. Raises UsageError unless it is one that listens.

    To be called once, before another thread runs: the variables are removed, so that no child takes the socket for its own.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise UsageError(f"systemd passes {count} sockets, and wschat serves one: the socket unit must have one ListenStream=")
    try:
        passed = socket.socket(fileno=_FIRST_FD)
    except OSError as error:
        raise UsageError(f"descriptor 3, which systemd passes, is not a socket: {error.strerror}") from None
    if passed.type != socket.SOCK_STREAM or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        passed.close()
        raise UsageError("the socket that systemd passes does not listen: the socket unit must have a ListenStream= and Accept=no")
    passed.set_inheritable(False)
    close_in_child(passed)
    return passed


def notify(state: str) -> None:
    """Tell systemd the state of the service: `READY=1` or `STOPPING=1`. An error is logged. Does not wait."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notifications.setblocking(False)
            notifications.sendto(state.encode(), address)
    except OSError as error:
        logger.warning("cannot notify systemd at %s: %s", path, error.strerror)
