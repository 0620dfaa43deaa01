"""Connections that are refused as they are accepted. No thread is spent on them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import cast

from wschat.connection.streams import AT_ONCE
from wschat.connection.timers import Timers
from wschat.forks import close_in_child
from wschat.server.requests import END_OF_HEAD

_READ_BYTES = 4096
# Seconds that a client has to send its request and to read the response.
_CLOSE_AFTER = 1.0
# Further connections are closed at once, without a response.
_MAX_CONNECTIONS = 100


class Overload:
    """Refuses connections: each gets a response when its request has come, and is closed one second after it was accepted.

    The accepting thread calls `read_requests` when `fileno` is readable. Thread-safe; no method waits.
    """

    def __init__(self, timers: Timers, respond: Callable[[bytes], bytes]) -> None:
        """`respond` returns the response to the head of a request, which may be incomplete."""
        self._timers = timers
        self._respond = respond
        self._sockets_lock = threading.Lock()  # guards the three attributes below; the timers' lock is taken after it
        self._sockets: set[socket.socket] = set()
        self._heads: dict[socket.socket, bytes] = {}  # what has been received, of those without a response; the selector watches them
        self._selector = selectors.DefaultSelector()
        close_in_child(self._selector)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request has come. Raises AttributeError where selectors have none (Windows)."""
        return self._selector.fileno()

    def refuse(self, sock: socket.socket) -> None:
        """Refuse an accepted connection, and close it later."""
        with self._sockets_lock:
            if len(self._sockets) >= _MAX_CONNECTIONS:
                sock.close()
                return
            sock.setblocking(False)
            close_in_child(sock)
            self._sockets.add(sock)
            self._heads[sock] = b""
            self._selector.register(sock, selectors.EVENT_READ)
            self._read(sock)
        # Not right after the response: closing while the client still sends would reset the connection and lose the response.
        self._timers.call_later(_CLOSE_AFTER, lambda: self._close(sock))

    def read_requests(self) -> None:
        """Receive what has come, and respond to complete heads."""
        if self._heads:  # without the lock: only the calling thread adds to it
            with self._sockets_lock:
                for key, _ in self._selector.select(0):
                    self._read(cast(socket.socket, key.fileobj))

    def close(self) -> None:
        """Close all connections now."""
        with self._sockets_lock:
            sockets = list(self._sockets)
        for sock in sockets:
            self._close(sock)
        with self._sockets_lock:
            self._selector.close()

    def _read(self, sock: socket.socket) -> None:
        assert self._sockets_lock.locked()
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        head = self._heads[sock] = self._heads[sock] + data
        if not data or len(head) >= _READ_BYTES or END_OF_HEAD.search(head):
            self._send_response(sock)

    def _send_response(self, sock: socket.socket) -> None:
        assert self._sockets_lock.locked()
        self._selector.unregister(sock)
        with contextlib.suppress(OSError):
            sock.send(self._respond(self._heads.pop(sock)), AT_ONCE)
            sock.shutdown(socket.SHUT_WR)

    def _close(self, sock: socket.socket) -> None:
        with self._sockets_lock:
            if sock in self._heads:
                self._send_response(sock)
            self._sockets.discard(sock)
        sock.close()
