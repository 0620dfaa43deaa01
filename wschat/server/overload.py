"""The overload: connections that are refused as they come. No thread is spent on them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import cast

from wschat.connection.streams import AT_ONCE
from wschat.connection.timers import Timers
from wschat.server.requests import END_OF_HEAD

_READ_BYTES = 4096
# How long a client has to send its request and to read the answer.
_SECONDS = 1.0
# More than this are not answered: they are closed at once.
_MAX_WAITING = 100


class Overload:
    """Refuses connections: each is answered when its request is there, and closed a second after it came.

    The thread that accepts is to call `read_requests` when `fileno` is readable. Methods may be called from any thread; none waits.
    """

    def __init__(self, timers: Timers, respond: Callable[[bytes], bytes]) -> None:
        """`respond` returns the response to a request's head, or to what has come of it in time."""
        self._timers = timers
        self._respond = respond
        self._guard = threading.Lock()  # guards the three below; the timers' lock is taken after it
        self._waiting: set[socket.socket] = set()
        self._heads: dict[socket.socket, bytes] = {}  # of those that have not been answered, and are watched
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request has come. Raises AttributeError where selectors have none (Windows)."""
        return self._selector.fileno()

    def turn_away(self, sock: socket.socket) -> None:
        """Answer this connection's request when it is there, and close it."""
        with self._guard:
            if len(self._waiting) >= _MAX_WAITING:
                sock.close()
                return
            sock.setblocking(False)
            self._waiting.add(sock)
            self._heads[sock] = b""
            self._selector.register(sock, selectors.EVENT_READ)
            self._read(sock)
        # Not as soon as it is answered: what the client is still sending would cause a reset, and the answer might be lost.
        self._timers.call_later(_SECONDS, lambda: self._end(sock))

    def read_requests(self) -> None:
        """Read what has come, and answer the requests that are there."""
        if self._heads:  # which only the calling thread adds to
            with self._guard:
                for key, _ in self._selector.select(0):
                    self._read(cast(socket.socket, key.fileobj))

    def close(self) -> None:
        """Close all connections now."""
        with self._guard:
            waiting = list(self._waiting)
        for sock in waiting:
            self._end(sock)
        with self._guard:
            self._selector.close()

    def _read(self, sock: socket.socket) -> None:
        """Read on, with the guard held."""
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        head = self._heads[sock] = self._heads[sock] + data
        if not data or len(head) >= _READ_BYTES or END_OF_HEAD.search(head):
            self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        with contextlib.suppress(OSError):
            sock.send(self._respond(self._heads.pop(sock)), AT_ONCE)
            sock.shutdown(socket.SHUT_WR)

    def _end(self, sock: socket.socket) -> None:
        with self._guard:
            if sock in self._heads:
                self._answer(sock)
            self._waiting.discard(sock)
        sock.close()
