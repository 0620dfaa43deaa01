"""Streams: plain and TLS bytes behave alike."""

from __future__ import annotations

import random
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.concurrency import TIMEOUT
from tests.connection.wiring import SocketPair, Wiring
from wschat.connection.streams import AT_ONCE, BlockingStream, PollingStream, Stream, open_stream

StreamPair = tuple[Stream, Stream]


@pytest.fixture
def pair(sockets: SocketPair) -> Iterator[StreamPair]:
    """Two connected streams of each kind."""
    server, client = open_stream(sockets[0]), open_stream(sockets[1])
    yield server, client
    for stream in (server, client):
        stream.abort()
        stream.close()


def send_all(stream: Stream, data: bytes, max_piece: int = 100_000) -> None:
    """Send in pieces of random size, or in one if `max_piece` is 0. Repeat refused pieces, as the writer thread does."""
    chance = random.Random(len(data))
    left = memoryview(data)
    piece = left[:0]
    while left:
        piece = piece or (left[: chance.randrange(1, max_piece)] if max_piece else left)
        try:
            sent = stream.send(piece, AT_ONCE)
        except BlockingIOError:
            threading.Event().wait(0.001)
        else:
            left, piece = left[sent:], piece[sent:]


def recv_all(stream: Stream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (data := stream.recv(65_536)):
        received += data
    return bytes(received)


def test_both_directions_at_once(wire: Wiring, pair: StreamPair) -> None:
    data = [random.Random(side).randbytes(3_000_000) for side in range(2)]
    tasks = [wire.run(send_all, stream, out) for stream, out in zip(pair, data, strict=True)]
    results = [wire.run(recv_all, stream, len(data[0])) for stream in pair]
    assert [result.result() for result in results] == data[::-1]
    assert [task.result() for task in tasks] == [None, None]


def test_a_send_that_would_block_raises_blocking_io_error(wire: Wiring, pair: StreamPair) -> None:
    one, other = pair
    sent = 0
    data = bytes(100_000)

    def fill() -> None:
        nonlocal sent
        while True:
            sent += one.send(data, AT_ONCE)

    with pytest.raises(BlockingIOError):
        fill()
    # TLS has begun to send the refused data, so the same data must be sent next.
    receiving = wire.run(recv_all, other, sent + len(data))
    send_all(one, data, max_piece=0)
    assert len(receiving.result()) == sent + len(data)


def test_reading_without_waiting(pair: StreamPair) -> None:
    one, other = pair
    while other.wait(0):  # records of TLS itself, such as session tickets
        assert other.recv_now(100) is None
    assert other.recv_now(100) is None
    assert not other.wait(0.01)
    one.send(b"hello", AT_ONCE)
    assert other.wait(TIMEOUT)
    assert other.recv_now(2) == b"he"
    assert other.wait(0)  # whether the rest is in the kernel or in the TLS object
    assert other.recv_now(100) == b"llo"
    one.abort()
    assert other.wait(TIMEOUT)
    assert other.recv_now(100) == b""


def test_half_close_ends_one_direction(pair: StreamPair) -> None:
    one, other = pair
    one.send(b"last", AT_ONCE)
    one.half_close()
    assert other.recv(100) == b"last"
    assert other.recv(100) == b""
    one.half_close()  # a second call has no effect


def test_after_a_half_close_data_can_still_be_received(plain: StreamPair) -> None:
    one, other = plain
    one.half_close()
    other.send(b"answer", AT_ONCE)
    assert one.recv(100) == b"answer"


@pytest.fixture
def plain() -> Iterator[StreamPair]:
    server, client = map(open_stream, socket.socketpair())
    yield server, client
    server.close()
    client.close()


def recv_end(stream: Stream) -> bytes:
    """Read to the end of the stream, or to a reset: a record of TLS itself may have reached a socket that was shut down."""
    try:
        return stream.recv(100)
    except ConnectionResetError:
        return b""


def test_abort_wakes_a_reader(wire: Wiring, pair: StreamPair) -> None:
    one, other = pair
    readers = [wire.run(recv_end, stream) for stream in pair]
    one.abort()
    assert [reader.result(TIMEOUT) for reader in readers] == [b"", b""]
    one.abort()  # a second call has no effect
    with pytest.raises(OSError, match=r"."):
        one.send(b"x", AT_ONCE)
    assert recv_end(other) == b""


def test_a_closed_stream_has_no_descriptor(pair: StreamPair) -> None:
    for stream in pair:
        assert stream.fileno() >= 0
        stream.close()
        assert stream.fileno() == -1
        stream.abort()
        stream.half_close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            stream.recv_now(100)


def test_tls_1_2_and_1_3_transfer_data_and_end(wire: Wiring, tls_sockets: Callable[[], SocketPair]) -> None:
    one, other = map(open_stream, tls_sockets())
    sending = wire.run(send_all, one, bytes(1_000_000))
    assert recv_all(other, 1_000_000) == bytes(1_000_000)
    sending.result()
    answers = [wire.run(stream.recv, 100) for stream in (one, other)]
    other.half_close()
    assert answers[0].result(TIMEOUT) == b""
    one.half_close()
    one.abort()
    assert answers[1].result(TIMEOUT) == b""
    one.close()
    other.close()


def test_open_stream_chooses_the_class_for_the_socket(monkeypatch: pytest.MonkeyPatch, tls_sockets: Callable[[], SocketPair]) -> None:
    for sock in tls_sockets():
        assert isinstance(sock, ssl.SSLSocket)
        with sock:
            assert isinstance(open_stream(sock), PollingStream)
    one, other = socket.socketpair()
    with one, other:
        assert isinstance(open_stream(one), BlockingStream)
        monkeypatch.delattr(socket, "MSG_DONTWAIT")
        assert isinstance(open_stream(other), PollingStream)


def test_connections_work_without_msg_dontwait_and_poll(wire: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has neither."""
    monkeypatch.delattr(socket, "MSG_DONTWAIT")
    monkeypatch.delattr(select, "poll")
    server, client = wire.pair()
    assert isinstance(server._receiver._stream, PollingStream)
    with pytest.raises(TimeoutError):
        client.recv(timeout=0.01)
    receiving = wire.run(client.recv, TIMEOUT)
    server.send("x" * 500_000)
    assert receiving.result() == "x" * 500_000
    closing = wire.run(server.close)
    client.close()
    closing.result(TIMEOUT)
