"""What the tests of connections share: two connected ends, wschat's own or raw, and threads. Tests do not belong here."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, ParamSpec, TypeVar

import pytest

from tests.protocol.wire import Frame, stream
from wschat.connection.connection import Connection
from wschat.connection.streams import Stream, open_stream
from wschat.errors import ConnectionClosed
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.protocol.deflate import Deflate

# The longest that anything in a test may take; only a bug ever takes as long.
PATIENCE = 20.0

P = ParamSpec("P")
T = TypeVar("T")
SocketPair = tuple[socket.socket, socket.socket]


def unix_sockets() -> SocketPair:
    return socket.socketpair()


def tcp_sockets() -> SocketPair:
    """A connection through the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


def narrow_sockets() -> SocketPair:
    """A pair between which the kernel keeps next to nothing, so that a peer that does not read is noticed at once."""
    sockets = socket.socketpair()
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return sockets


class RawPeer:
    """The other end as bare bytes: frames made by hand, and faults that a well-behaved peer is incapable of."""

    def __init__(self, sock: socket.socket, *, masked: bool) -> None:
        sock.settimeout(PATIENCE)
        self.socket = sock
        self._masked = masked
        self._file = sock.makefile("rb")

    def send(self, *frames: Frame) -> None:
        """These frames, in one write."""
        self.socket.sendall(stream(frames, masked=self._masked))

    def frame(self) -> Frame:
        """The next frame: its first byte and its payload."""
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
        """The frames up to one that begins so, which is the last of them."""
        frames = [self.frame()]
        while frames[-1][0] != first:
            frames.append(self.frame())
        return frames

    def rest(self) -> list[Frame]:
        """All frames until the end of the stream."""
        frames = []
        while self._file.peek(1):
            frames.append(self.frame())
        return frames

    def reset(self) -> None:
        """End the connection as a crash does: the other end finds an error."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Wiring:
    """Makes connections and threads, and ends them all with the test."""

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
        """A connection over this socket."""
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
        """The two ends of one connection, the server's first."""
        server, client = sockets or unix_sockets()
        return (
            self.connection(server, limits=limits, deflate=deflate),
            self.connection(client, is_client=True, limits=client_limits, deflate=deflate),
        )

    def raw(self, sockets: SocketPair | None = None, *, is_client: bool = False, **options: Any) -> tuple[Connection, RawPeer]:
        """A connection (a server's, unless it is said to be a client's) and a peer made of bytes."""
        ours, theirs = sockets or unix_sockets()
        peer = RawPeer(theirs, masked=not is_client)
        self._peers.append(peer)
        return self.connection(ours, is_client=is_client, **options), peer

    def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do this in a thread of its own."""
        return self._pool.submit(action, *args, **kwargs)

    def forget(self, *connections: Connection) -> None:
        """These are closed already."""
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
    """Return True if some other thread waits for what comes on this connection."""
    if not connection._receiver.reader_lock.lock.acquire(blocking=False):
        return True
    connection._receiver.reader_lock.lock.release()
    return False


def received(connection: Connection) -> list[str | bytes]:
    """All messages until the connection is over."""
    return list(connection)


def end_of(connection: Connection) -> tuple[int, str]:
    """How it ended: the code and the reason."""
    with pytest.raises(ConnectionClosed) as caught:
        connection.recv(timeout=PATIENCE)
    return caught.value.code, caught.value.reason


def eventually(is_so: Callable[[], object]) -> None:
    """Wait for a state that no event tells of, such as that another thread waits."""
    gives_up_at = monotonic() + PATIENCE
    while not is_so():
        assert monotonic() < gives_up_at, "it never came to be"
        threading.Event().wait(0.001)
