"""Streams: plain and TLS sockets behind one interface. Only `recv` and `wait` wait.

The owner of a stream sees to it that one thread at a time reads, and that `send`, `half_close`, `abort` and `close` are called
with one lock held.
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

from wschat.forks import close_copy

# The flag for `send` not to wait, on systems where a call can say so for a blocking socket.
AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

# The maximum size of a record's payload (RFC 8446, section 5.1).
_TLS_RECORD_BYTES = 16 * 1024


class Stream(Protocol):
    """What a connection needs of its socket."""

    record_bytes: int
    """How many of the bytes that `send` did not take must be offered again unchanged, with or without more after them."""

    def recv(self, max_bytes: int, /) -> bytes:
        """Wait for bytes and return them. Returns b"" or raises OSError at the end of the stream."""

    def send(self, data: bytes | memoryview, at_once: int, /) -> int:
        """Write without waiting, given AT_ONCE. Return how many bytes were written.

        Raises BlockingIOError if none could be written, and any other OSError once the peer is gone.
        """

    def recv_now(self, max_bytes: int) -> bytes | None:
        """Read without waiting. Returns None if nothing has arrived, and b"" or OSError as `recv` does."""

    def wait(self, timeout: float) -> bool:
        """Wait until something, or the end, can be read. Return False if that is not so within `timeout` seconds."""

    def fileno(self) -> int:
        """Return the descriptor, or -1 once it is closed."""

    def half_close(self) -> None:
        """End the sending direction; the other can still be read."""

    def abort(self) -> None:
        """End both directions, so that a thread that waits in `recv` returns."""

    def close(self) -> None:
        """Close the descriptor."""

    def leave_to_parent(self) -> None:
        """Close the descriptor of a forked child, without ending the stream."""


def open_stream(sock: socket.socket) -> Stream:
    """Return a stream for a connected socket, which it owns from then on."""
    if isinstance(sock, ssl.SSLSocket) or not hasattr(socket, "MSG_DONTWAIT"):
        return PollingStream(sock)
    return BlockingStream(sock)


class BlockingStream:
    """A plain socket. A read is one system call that waits in the kernel, which is the cheapest way.

    `recv` and `send` are the socket's own methods, without another call around them.
    """

    __slots__ = ("_socket", "record_bytes", "recv", "send")

    def __init__(self, sock: socket.socket) -> None:
        # A timeout would make the descriptor non-blocking, and each read two system calls.
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

    def leave_to_parent(self) -> None:
        close_copy(self._socket)


class PollingStream:
    """A TLS socket, or any socket on systems that cannot send on a blocking socket without waiting.

    An OpenSSL object must not be used by two threads at once, so each call is short, non-blocking and locked; waiting happens outside
    the lock. After `half_close`, the TLS object accepts no more data from the peer. If that stayed unread, the kernel would reset the
    connection, and its last frames would be lost: so the socket is then read without TLS up to its end, and the data is dropped.
    """

    __slots__ = ("_is_half_closed", "_socket", "_tls_lock", "record_bytes")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.record_bytes = _TLS_RECORD_BYTES
        self._is_half_closed = False
        self._tls_lock = threading.Lock()  # guards calls on `_socket`, and `_is_half_closed`; taken after a transport's lock

    def recv(self, max_bytes: int, /) -> bytes:
        while (data := self.recv_now(max_bytes)) is None:
            _wait(self._socket, None)
        return data

    def recv_now(self, max_bytes: int) -> bytes | None:
        try:
            with self._tls_lock:
                if self._is_half_closed:
                    return None if socket.socket.recv(self._socket, max_bytes) else b""
                return self._socket.recv(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def wait(self, timeout: float) -> bool:
        with self._tls_lock:
            if isinstance(self._socket, ssl.SSLSocket) and not self._is_half_closed and self._socket.pending():
                return True
        return _wait(self._socket, timeout)

    def send(self, data: bytes | memoryview, at_once: int, /) -> int:
        view = memoryview(data)
        sent = 0
        # While the interpreter is finalizing, the lock may be held by a thread that never runs again.
        if not self._tls_lock.acquire(blocking=not sys.is_finalizing()):
            raise BlockingIOError
        try:
            # One record at a time: after a call that failed, OpenSSL insists on the same data again.
            while sent < len(view):
                sent += self._socket.send(view[sent : sent + self.record_bytes])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not sent:
                raise BlockingIOError from None
        finally:
            self._tls_lock.release()
        return sent

    def fileno(self) -> int:
        return self._socket.fileno()

    def half_close(self) -> None:
        with self._tls_lock:
            if isinstance(self._socket, ssl.SSLSocket):
                # Sends close_notify. It would then wait for the peer's, which is not needed.
                with contextlib.suppress(OSError, ValueError):
                    self._socket.unwrap()
            self._is_half_closed = True
        _shutdown(self._socket, socket.SHUT_WR)

    def abort(self) -> None:
        _shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def leave_to_parent(self) -> None:
        close_copy(self._socket)


def recv_until(stream: Stream, max_bytes: int, until: float | None) -> bytes | None:
    """Wait for bytes and return them, or None if it is later than `until`, a time by `monotonic`. Ends as `Stream.recv` does."""
    if until is None:
        return stream.recv(max_bytes)
    # A socket may be readable although no data is: TLS has messages of its own.
    while True:
        remaining = until - monotonic()
        if not stream.wait(max(0.0, remaining)):
            return None
        data = stream.recv_now(max_bytes)
        if data is not None or remaining <= 0:
            return data


def was_interrupted(error: BaseException) -> bool:
    """Return True if a signal handler raised this error, not the call that it interrupted.

    A signal handler is known in the traceback by one of its arguments: the frame that it has interrupted, which is the frame below it.
    (That one need not be in the traceback: functions that are compiled have no frames.)
    """
    traceback = error.__traceback__
    while traceback is not None:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        interrupted = frame.f_back
        if interrupted is not None and any(
            value is interrupted or (isinstance(value, tuple) and interrupted in value) for value in frame.f_locals.values()
        ):
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
