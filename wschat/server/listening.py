"""Addresses that a server can listen on."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from wschat.errors import UsageError
from wschat.server.logs import name_of


def check_address(address: object) -> None:
    """Raise UsageError for what is no (host, port), no path, and no socket that listens."""
    if isinstance(address, socket.socket):
        listens = address.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) if hasattr(socket, "SO_ACCEPTCONN") else True
        if address.type != socket.SOCK_STREAM or not listens:
            raise UsageError(f"a listener must be a stream socket that listens, as socket.create_server makes it, not {address!r}")
    elif not isinstance(address, str):
        if not isinstance(address, tuple) or len(address) != 2 or not isinstance(address[0], str):
            raise UsageError(f"an address must be a host and a port, a path, or a socket, not {address!r}")
        if not isinstance(address[1], int) or not 0 <= address[1] <= 65535:
            raise UsageError(f"a port must be a number from 0 to 65535, not {address[1]!r}")


@contextmanager
def naming(address: tuple[str, int] | str) -> Iterator[None]:
    """Have an OSError say which address cannot be listened on."""
    try:
        yield
    except OSError as error:
        place = address if isinstance(address, str) else f"{address[0]} port {address[1]}"
        text = f"cannot listen on {place}: {error.strerror or error}"
        raise (OSError(text) if error.errno is None else type(error)(error.errno, text)) from None


def shown_address(address: object, path_prefix: str, *, is_secure: bool) -> str:
    """Return where a server listens, for people: a URL, or the path of a Unix socket."""
    if not isinstance(address, tuple):
        return os.fsdecode(address)  # type: ignore[arg-type]  # a socket without a name has an empty one
    return f"{'wss' if is_secure else 'ws'}://{name_of(address)}{path_prefix}/"


def family_of(address: tuple[str, int] | str) -> socket.AddressFamily:
    """Return the family of an address. Removes the socket that a server has left at a path. Raises UsageError."""
    if isinstance(address, str):
        if not hasattr(socket, "AF_UNIX"):
            raise UsageError("this system has no Unix sockets: give a host and a port")
        _remove_stale_socket(address)
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _remove_stale_socket(path: str) -> None:
    """A server that was killed leaves its socket behind, and nobody could listen there again."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
        except OSError:
            pass  # nothing is there, or nothing that we may take away
