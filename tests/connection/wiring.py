"""Helpers for the tests of connections: pairs of connections, raw peers, and threads."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import pytest

from tests.concurrency import TIMEOUT
from tests.protocol.wire import Frame, stream
from wschat.connection.connection import Connection
from wschat.connection.streams import Stream, open_stream
from wschat.errors import ConnectionClosed
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate

P = ParamSpec("P")
T = TypeVar("T")
SocketPair = tuple[socket.socket, socket.socket]


def unix_sockets() -> SocketPair:
    return socket.socketpair()


def tcp_sockets() -> SocketPair:
    """Return both ends of a TCP connection through the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


def narrow_sockets() -> SocketPair:
    """Return a pair of sockets with small kernel buffers, so that a peer that does not read is noticed at once."""
    sockets = socket.socketpair()
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return sockets


class RawPeer:
    """The peer of a connection as a bare socket, which can send any frames and break any rule."""

    def __init__(self, sock: socket.socket, *, masked: bool) -> None:
        sock.settimeout(TIMEOUT)
        self.socket = sock
        self._masked = masked
        self._file = sock.makefile("rb")

    def send(self, *frames: Frame) -> None:
        """Send frames with one write."""
        self.socket.sendall(stream(frames, masked=self._masked))

    def frame(self) -> Frame:
        """Read a frame. Return its first byte and its payload."""
        first, second = self._file.read(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self._file.read(2 if length == 126 else 8), "big")
        key = self._file.read(4) if second & 0x80 else bytes(4)
        payload = self._file.read(length)
        assert len(payload) == length
        keys = (key * (length // 4 + 1))[:length]
        return first, (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(length, "big")

    def frames_until(self, first: int) -> list[Frame]:
        """Read frames up to and including one with this first byte."""
        frames = [self.frame()]
        while frames[-1][0] != first:
            frames.append(self.frame())
        return frames

    def rest(self) -> list[Frame]:
        """Read all frames until the end of the stream."""
        frames = []
        while self._file.peek(1):
            frames.append(self.frame())
        return frames

    def reset(self) -> None:
        """End the connection with a reset, as a crash does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Wiring:
    """Makes connections and threads, and ends all of them after the test."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(64)
        self._connections: list[Connection] = []
        self._peers: list[RawPeer] = []

    def connection(
        self,
        sock: socket.socket,
        *,
        is_client: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        make_stream: Callable[[socket.socket], Stream] = open_stream,
        **options: Any,
    ) -> Connection:
        """Make a connection over a socket."""
        connection = Connection(
            make_stream(sock), is_client=is_client, limits=limits, path="/", headers={}, remote_address="nowhere", **options
        )
        self._connections.append(connection)
        return connection

    def pair(
        self,
        sockets: SocketPair | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        client_limits: Limits = DEFAULT_LIMITS,
        deflate: Deflate | None = None,
    ) -> tuple[Connection, Connection]:
        """Make both ends of a connection. Return the server's first."""
        server, client = sockets or unix_sockets()
        return (
            self.connection(server, limits=limits, deflate=deflate),
            self.connection(client, is_client=True, limits=client_limits, deflate=deflate),
        )

    def raw(self, sockets: SocketPair | None = None, *, is_client: bool = False, **options: Any) -> tuple[Connection, RawPeer]:
        """Make a connection (a server's unless `is_client`) and a raw peer."""
        ours, theirs = sockets or unix_sockets()
        peer = RawPeer(theirs, masked=not is_client)
        self._peers.append(peer)
        return self.connection(ours, is_client=is_client, **options), peer

    def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `action` in a thread of its own."""
        return self._pool.submit(action, *args, **kwargs)

    def forget(self, *connections: Connection) -> None:
        """Do not close these connections after the test: they are closed already."""
        self._connections = [connection for connection in self._connections if connection not in connections]

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        for connection in self._connections:
            self.run(connection.close)
        self._pool.shutdown()


@pytest.fixture
def wire() -> Iterator[Wiring]:
    with contextlib.closing(Wiring()) as wiring:
        yield wiring


def is_receiving(connection: Connection) -> bool:
    """Return True if another thread is receiving on this connection."""
    if not connection._receiver.reader_lock.lock.acquire(blocking=False):
        return True
    connection._receiver.reader_lock.lock.release()
    return False


def received(connection: Connection) -> list[str | bytes]:
    """Receive all messages until the connection ends."""
    return list(connection)


END = "end"


def until_end(client: Connection) -> list[str | bytes]:
    """Return the messages that a client receives before END."""
    messages: list[str | bytes] = []
    while (message := client.recv(timeout=TIMEOUT)) != END:
        messages.append(message)
    return messages


def end_of(connection: Connection) -> tuple[int, str]:
    """Return the close code and reason of a connection that has no messages left."""
    with pytest.raises(ConnectionClosed) as caught:
        connection.recv(timeout=TIMEOUT)
    return caught.value.code, caught.value.reason
