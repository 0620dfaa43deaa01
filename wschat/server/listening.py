"""The addresses that a server can listen on: host and port, a Unix socket, or a listening socket."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from wschat.errors import UsageError
from wschat.server.logs import name_of


def check_address(address: object) -> None:
    """Raise UsageError unless this is (host, port), a path, or a listening socket."""
    if isinstance(address, socket.socket):
        listens = address.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) if hasattr(socket, "SO_ACCEPTCONN") else True
        if address.type != socket.SOCK_STREAM or not listens:
            raise UsageError(f"a listener must be a listening stream socket, as made by socket.create_server, not {address!r}")
    elif not isinstance(address, str):
        if not isinstance(address, tuple) or len(address) != 2 or not isinstance(address[0], str):
            raise UsageError(f"an address must be a host and a port, a path, or a socket, not {address!r}")
        if not isinstance(address[1], int) or not 0 <= address[1] <= 65535:
            raise UsageError(f"a port must be a number from 0 to 65535, not {address[1]!r}")


@contextmanager
def naming(address: tuple[str, int] | str) -> Iterator[None]:
    """Add the address to the text of an OSError that is raised in the block."""
    try:
        yield
    except OSError as error:
        place = address if isinstance(address, str) else f"{address[0]} port {address[1]}"
        text = f"cannot listen on {place}: {error.strerror or error}"
        raise (OSError(text) if error.errno is None else type(error)(error.errno, text)) from None


def shown_address(address: object, path_prefix: str, *, is_secure: bool) -> str:
    """Return the URL of a server, or the path of its Unix socket, for log lines."""
    if not isinstance(address, tuple):
        return os.fsdecode(address)  # type: ignore[arg-type]  # an unnamed socket has an empty name
    return f"{'wss' if is_secure else 'ws'}://{name_of(address)}{path_prefix}/"


def family_of(address: tuple[str, int] | str) -> socket.AddressFamily:
    """Return the family of an address, and remove a stale Unix socket at it. Raises UsageError if there are no Unix sockets."""
    if isinstance(address, str):
        if not hasattr(socket, "AF_UNIX"):
            raise UsageError("this system has no Unix sockets: give a host and a port")
        _remove_stale_socket(address)
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _remove_stale_socket(path: str) -> None:
    """Remove the socket of a server that was killed, because it prevents others from listening at the path."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
        except OSError:
            pass  # no socket is there, or one that is in use
