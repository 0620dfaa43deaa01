"""Addresses that a server can listen on."""

from __future__ import annotations

import os
import socket
import stat

from wschat.errors import UsageError


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
