"""Streams over the socket of another server, which keeps the descriptor: their end shuts it down, and does not close it.

Servers write a response after the application has returned, look for unread bytes, and close. On a socket that was shut down, they
find that the client is gone, which they expect; a closed one would be an error of theirs, or the descriptor of another client.
"""

from __future__ import annotations

import contextlib
import socket

from wschat.connection.streams import BlockingStream, PollingStream, Stream, open_stream


def borrow_stream(sock: socket.socket) -> Stream:
    """Return a stream for a connected socket that another server closes."""
    stream = open_stream(sock)
    return _BorrowedBlocking(sock) if isinstance(stream, BlockingStream) else _BorrowedPolling(sock)


class _BorrowedBlocking(BlockingStream):
    __slots__ = ()

    def close(self) -> None:
        _shut_down(self._socket)


class _BorrowedPolling(PollingStream):
    __slots__ = ()

    def close(self) -> None:
        _shut_down(self._socket)


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # The TLS object goes with it, so that the server's write fails as on a plain socket: no frame and no alert can follow.
        sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        sock.setblocking(True)
