"""A spare file descriptor, with which a server refuses connections after the process has run out of descriptors."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from time import monotonic

from wschat.counters import Refusal, counters
from wschat.server.logs import log_refused

logger = logging.getLogger("wschat.server")

PAUSE_SECONDS = 0.1
"""Seconds to wait before accepting again when no connection can be accepted."""

# The errors of accept() that mean that the process or the system has run out of a resource.
_EXHAUSTION = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SECONDS_BETWEEN_LOG_ENTRIES = 10.0
_READ_BYTES = 4096


class FdReserve:
    """A spare descriptor of the accepting thread. Not thread-safe. The constructor raises OSError if no descriptor is left."""

    def __init__(self) -> None:
        self._logged_at = -_SECONDS_BETWEEN_LOG_ENTRIES
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)

    @staticmethod
    def is_exhaustion(error: OSError) -> bool:
        """Return True if accept() failed because a resource has run out."""
        return error.errno in _EXHAUSTION

    def log_exhaustion(self, error: Exception) -> None:
        """Log that no connection can be accepted, at most every ten seconds."""
        if monotonic() - self._logged_at >= _SECONDS_BETWEEN_LOG_ENTRIES:
            self._logged_at = monotonic()
            logger.error("cannot accept connections: %s", error)

    def refuse_one(self, listener: socket.socket, respond: Callable[[bytes], bytes]) -> bool:
        """Accept a connection with the spare descriptor, send a response and close it, without waiting.

        `respond` returns the response to the head of a request, which may be incomplete. Return False if none could be accepted.
        """
        self.close()
        try:
            sock, client_address = listener.accept()
        except OSError:
            return False
        else:
            with sock:
                sock.setblocking(False)
                # Closing with unread input would reset the connection and lose the response.
                head = b""
                with contextlib.suppress(OSError):
                    head = sock.recv(_READ_BYTES)
                with contextlib.suppress(OSError):
                    sock.send(respond(head))
            counters.count_refusal(Refusal.NO_DESCRIPTOR)
            log_refused(client_address, Refusal.NO_DESCRIPTOR.value)
            return True
        finally:
            with contextlib.suppress(OSError):  # another thread has taken it; the next call tries again
                self._spare = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Close the spare descriptor."""
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
