"""FdReserve: descriptors, memory or threads have run out. Who comes then is refused, and it is said once in a while."""

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
"""How long to leave those alone who wait to be accepted when nobody can be."""

# What accept() says when this process or the system has run out of something that will come back.
_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SECONDS_BETWEEN_COMPLAINTS = 10.0
_READ_BYTES = 4096


class FdReserve:
    """For the thread that accepts. A descriptor is kept for the worst of times: it is just enough to refuse somebody with.

    Raises OSError if even that one is not to be had.
    """

    def __init__(self) -> None:
        self._complained_at = -_SECONDS_BETWEEN_COMPLAINTS
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)

    @staticmethod
    def is_exhaustion(error: OSError) -> bool:
        """Whether it is for want of something that nobody could be accepted."""
        return error.errno in _ERRORS

    def warn(self, error: Exception) -> None:
        """Log that there is nothing left, unless that was said a moment ago."""
        if monotonic() - self._complained_at >= _SECONDS_BETWEEN_COMPLAINTS:
            self._complained_at = monotonic()
            logger.error("cannot accept connections: %s", error)

    def refuse_one(self, listener: socket.socket, respond: Callable[[bytes], bytes]) -> bool:
        """Accept somebody, send the response to what has come of a request and close, all without waiting; False if nobody could be
        accepted even so."""
        self.close()
        try:
            sock, client_address = listener.accept()
        except OSError:
            return False
        else:
            with sock:
                sock.setblocking(False)
                # With a request unread, closing would be a reset, and the answer might be lost.
                head = b""
                with contextlib.suppress(OSError):
                    head = sock.recv(_READ_BYTES)
                with contextlib.suppress(OSError):
                    sock.send(respond(head))
            counters.count_refusal(Refusal.NO_DESCRIPTOR)
            log_refused(client_address, Refusal.NO_DESCRIPTOR.value)
            return True
        finally:
            with contextlib.suppress(OSError):  # somebody was quicker; there will be one again
                self._spare = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Give the spare descriptor back."""
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
