"""The bytes of one connection, plain or TLS, behind one interface: a read that waits, and everything else without waiting.

A stream keeps no rules about who may call what: that is its owner's business. One thread at a time may read; `send`,
`half_close`, `abort` and `close` belong under one lock of the owner.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
import threading
from time import monotonic
from typing import Protocol

# What `send` is to be called with: not to wait, where that is said with each call and not with the socket's mode.
AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

# The most that a record holds (RFC 8446, section 5.1).
_TLS_RECORD_BYTES = 16 * 1024


class Stream(Protocol):
    """What a connection needs of its socket."""

    record_bytes: int
    """How many bytes of what `send` did not take have to be offered again as they are, with or without more after them."""

    def recv(self, max_bytes: int, /) -> bytes:
        """Wait for bytes and return them; b"" or OSError once there will be none any more."""

    def send(self, data: bytes | memoryview, at_once: int, /) -> int:
        """Write what can be written without waiting (with AT_ONCE). Return how many bytes that was.

        Raises BlockingIOError if that is nothing, and any other OSError once the peer is gone.
        """

    def recv_now(self, max_bytes: int) -> bytes | None:
        """Read without waiting: None if there is nothing yet, b"" or OSError once there will be nothing any more."""

    def wait(self, timeout: float) -> bool:
        """Wait for up to `timeout` seconds for something to read (or the end); whether there is."""

    def fileno(self) -> int:
        """The descriptor to select on, -1 once closed."""

    def half_close(self) -> None:
        """Tell the peer that nothing more comes; reading goes on."""

    def abort(self) -> None:
        """End both directions: whoever waits in `recv` returns."""

    def close(self) -> None:
        """Give the descriptor back."""


def open_stream(sock: socket.socket) -> Stream:
    """The stream for a connected socket, which belongs to the stream from then on."""
    if isinstance(sock, ssl.SSLSocket) or not hasattr(socket, "MSG_DONTWAIT"):
        return PollingStream(sock)
    return BlockingStream(sock)


class BlockingStream:
    """A plain socket: reading is one system call that waits in the kernel, the cheapest there is.

    `recv` and `send` are the socket's own methods: between them lies all that a message costs.
    """

    __slots__ = ("_socket", "record_bytes", "recv", "send")

    def __init__(self, sock: socket.socket) -> None:
        # A timeout of Python's would make the descriptor non-blocking, and every read two system calls.
        sock.settimeout(None)
        self._socket = sock
        self.record_bytes = 0
        self.recv = sock.recv
        self.send = sock.send

    def recv_now(self, max_bytes: int) -> bytes | None:
        try:
            return self._socket.recv(max_bytes, AT_ONCE)
        except BlockingIOError:
            return None

    def wait(self, timeout: float) -> bool:
        return _wait(self._socket, timeout)

    def fileno(self) -> int:
        return self._socket.fileno()

    def half_close(self) -> None:
        _shutdown(self._socket, socket.SHUT_WR)

    def abort(self) -> None:
        _shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class PollingStream:
    """A TLS socket, or any socket where the system cannot send without waiting on a blocking one.

    OpenSSL's objects break when two threads use them at once, so each call is short, non-blocking and locked; waiting
    happens outside the lock. After `half_close` the TLS object takes nothing any more that the peer still sends, and what is left
    unread would have the kernel reset the connection, whose last frames are lost then: so from there on the socket is read
    without TLS, up to its end, and what comes is dropped.
    """

    __slots__ = ("_is_half_closed", "_socket", "_tls_object", "record_bytes")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.record_bytes = _TLS_RECORD_BYTES
        self._is_half_closed = False
        self._tls_object = threading.Lock()  # guards the TLS object; taken after an outbox's lock, and before no other

    def recv(self, max_bytes: int, /) -> bytes:
        while (data := self.recv_now(max_bytes)) is None:
            _wait(self._socket, None)
        return data

    def recv_now(self, max_bytes: int) -> bytes | None:
        try:
            with self._tls_object:
                if self._is_half_closed:
                    return None if socket.socket.recv(self._socket, max_bytes) else b""
                return self._socket.recv(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def wait(self, timeout: float) -> bool:
        with self._tls_object:
            if isinstance(self._socket, ssl.SSLSocket) and not self._is_half_closed and self._socket.pending():
                return True
        return _wait(self._socket, timeout)

    def send(self, data: bytes | memoryview, at_once: int, /) -> int:
        view = memoryview(data)
        sent = 0
        # While the interpreter is finalizing, a thread that never runs again may hold the lock.
        if not self._tls_object.acquire(blocking=not sys.is_finalizing()):
            raise BlockingIOError
        try:
            # A record at a time: OpenSSL insists on being given again all that it was given in a call that failed.
            while sent < len(view):
                sent += self._socket.send(view[sent : sent + self.record_bytes])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not sent:
                raise BlockingIOError from None
        finally:
            self._tls_object.release()
        return sent

    def fileno(self) -> int:
        return self._socket.fileno()

    def half_close(self) -> None:
        with self._tls_object:
            if isinstance(self._socket, ssl.SSLSocket):
                # Sends TLS's own end; that it would then wait for the peer's is no concern here.
                with contextlib.suppress(OSError, ValueError):
                    self._socket.unwrap()
            self._is_half_closed = True
        _shutdown(self._socket, socket.SHUT_WR)

    def abort(self) -> None:
        _shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def recv_until(stream: Stream, max_bytes: int, until: float | None) -> bytes | None:
    """Wait for bytes; b"" or OSError at the end of the stream, None if it gets later than `until`, a time of `monotonic`."""
    if until is None:
        return stream.recv(max_bytes)
    # What made the socket readable need not be ours to read: TLS has messages of its own.
    while True:
        remaining = until - monotonic()
        if not stream.wait(max(0.0, remaining)):
            return None
        data = stream.recv_now(max_bytes)
        if data is not None or remaining <= 0:
            return data


def was_interrupted(error: BaseException) -> bool:
    """Return True if a signal handler has raised this, and not the call that it interrupted.

    A signal handler is called with the frame that it has interrupted, and by that it is known in the traceback.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        interrupted, traceback = traceback.tb_frame, traceback.tb_next
        arguments = traceback.tb_frame.f_locals.values()
        if any(value is interrupted or (isinstance(value, tuple) and interrupted in value) for value in arguments):
            return True
    return False


def _wait(sock: socket.socket, timeout: float | None) -> bool:
    if hasattr(select, "poll"):  # select.select refuses descriptors from 1024 on
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))
    return bool(select.select([sock], [], [], timeout)[0])


def _shutdown(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        # SSLSocket's own shutdown would throw its TLS object away under a thread that reads.
        socket.socket.shutdown(sock, how)
