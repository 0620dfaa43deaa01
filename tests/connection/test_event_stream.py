"""Streams of server-sent events: sending, eviction of slow clients, and closing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import SocketPair, Wiring, narrow_sockets, tcp_sockets, unix_sockets
from wschat.connection import event_stream
from wschat.connection.event_stream import EventStream, Utf8
from wschat.connection.streams import open_stream
from wschat.errors import ConnectionClosed
from wschat.hub import Hub
from wschat.limits import DEFAULT_LIMITS, Limits

MakeStream = Callable[..., tuple[EventStream, socket.socket]]


@pytest.fixture
def make(wire: Wiring) -> Iterator[MakeStream]:  # its threads wait for the streams, so it ends later
    """A function that makes a stream and the socket of its client. Both are closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(sockets: SocketPair | None = None, limits: Limits = DEFAULT_LIMITS, **options: Any) -> tuple[EventStream, socket.socket]:
            ours, theirs = sockets or unix_sockets()
            stream = EventStream(open_stream(ours), limits=limits, path="/events", remote_address="somewhere", **options)
            stack.callback(stream.release)
            stack.enter_context(theirs).settimeout(TIMEOUT)
            return stream, theirs

        yield make


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def send_all(stream: EventStream, texts: list[str]) -> None:
    for text in texts:
        stream.send(text)


def rest(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def test_an_evicted_client_reaches_the_end_of_the_stream_when_it_reads_again(make: MakeStream) -> None:
    stream, peer = make(narrow_sockets(), Limits(outbox_bytes=1000, close_timeout=0))
    while not stream.was_evicted:
        stream.offer(b"data: x\n\n" * 100)
    assert rest(peer).startswith(b"data: x\n\n")


def test_drop_oldest_evicts_slow_clients_of_event_streams(make: MakeStream) -> None:
    """`drop-oldest` applies to WebSockets only: a client of an event stream could not notice the gap."""
    stream, _ = make(narrow_sockets(), Limits(outbox_bytes=1000, slow_peer="drop-oldest"))
    while not stream.was_evicted:
        stream.offer(b"data: x\n\n" * 100)


def test_send_waits_until_the_kernel_has_taken_the_text(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets())
    sending = wire.run(send_all, stream, ["x" * 1_000_000])
    assert len(read(peer, 900_000)) == 900_000
    read(peer, 100_000)
    sending.result(TIMEOUT)
    assert stream.waiting_bytes == 0


def test_texts_arrive_unchanged(make: MakeStream, sockets: SocketPair) -> None:
    stream, peer = make(sockets)
    stream.send("data: é\n\n")
    stream.offer(b"data: y\n\n")
    wanted = "data: é\n\ndata: y\n\n".encode()
    assert read(peer, len(wanted)) == wanted
    assert (stream.bytes_sent, stream.bytes_received, stream.waiting_bytes, stream.closed) == (len(wanted), 0, 0, None)


def test_texts_sent_before_the_close_arrive(make: MakeStream, sockets: SocketPair, wire: Wiring) -> None:
    stream, peer = make(sockets)
    waiting = wire.run(stream.wait)
    stream.send("data: x\n\n")
    stream.begin_close(1001, "enough")
    assert rest(peer) == b"data: x\n\n:\n\n"
    assert not waiting.done()  # it also waits for the client to disconnect
    peer.close()
    waiting.result(TIMEOUT)
    assert stream.closed is not None
    assert (stream.closed.code, stream.closed.reason) == (1001, "enough")


def test_the_first_close_sets_the_code(make: MakeStream) -> None:
    stream, peer = make()
    stream.begin_close(1001, "enough")
    stream.begin_close(1008, "too late")
    assert stream.closed is not None
    assert stream.closed.code == 1001
    assert rest(peer) == b":\n\n"


def test_a_client_that_disconnects_ends_the_stream(make: MakeStream, sockets: SocketPair, wire: Wiring) -> None:
    stream, peer = make(sockets)
    waiting = wire.run(stream.wait)
    peer.close()
    waiting.result(TIMEOUT)
    stream.release()
    assert stream.closed is not None
    assert stream.closed.code == 1006
    with pytest.raises(ConnectionClosed):
        stream.send("data: x\n\n")
    stream.offer(b"data: x\n\n")  # never raises, because hubs call it


def test_bytes_from_the_client_are_ignored(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make()
    waiting = wire.run(stream.wait)
    peer.sendall(b"x" * 10_000)
    stream.send("data: x\n\n")
    assert read(peer, 9) == b"data: x\n\n"
    assert not waiting.done()


def test_comments_are_sent_regularly_until_the_end(make: MakeStream) -> None:
    stream, peer = make(comment_interval=0.01)
    assert read(peer, 9) == b":\n\n" * 3
    stream.send("data: x\n\n")
    stream.begin_close()
    assert rest(peer).replace(b":\n\n", b"") == b"data: x\n\n"


def test_comments_are_sent_every_15_seconds_by_default() -> None:
    assert event_stream.COMMENT_INTERVAL == 15.0


@pytest.mark.parametrize(
    "limits", [Limits(outbox_bytes=10_000, close_timeout=0.1), Limits(outbox_seconds=0.05, close_timeout=0.1)], ids=["too much", "too old"]
)
def test_a_client_that_does_not_keep_up_is_evicted(make: MakeStream, wire: Wiring, limits: Limits) -> None:
    stream, peer = make(narrow_sockets(), limits)
    waiting = wire.run(stream.wait)
    event = b"data: " + b"x" * 1000 + b"\n\n"
    for _ in range(100):
        stream.offer(event)
        assert stream.waiting_bytes <= max(limits.outbox_bytes, 100 * len(event))
    eventually(lambda: stream.was_evicted)
    assert stream.closed is not None
    assert (stream.closed.code, stream.closed.reason) == (1008, "too slow")
    waiting.result(TIMEOUT)  # the stream ends without waiting for the client
    got = rest(peer).replace(b":\n\n", b"")
    assert len(got) < 100 * len(event)
    assert got.replace(event, b"") == b""  # no event is cut off


def test_send_waits_for_a_slow_client_until_the_timeout(make: MakeStream) -> None:
    stream, _ = make(narrow_sockets(), Limits(outbox_bytes=10_000, outbox_seconds=0.1, close_timeout=0.1))
    with pytest.raises(ConnectionClosed) as closed:
        send_all(stream, ["data: " + "x" * 1000 + "\n\n"] * 1000)
    assert closed.value.code == 1008
    assert stream.was_evicted


def test_sending_continues_as_the_client_reads(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets(), Limits(outbox_bytes=10_000))
    sending = wire.run(send_all, stream, [f"data: {number:01000}\n\n" for number in range(1000)])
    got = read(peer, 1000 * 1008)
    sending.result(TIMEOUT)
    assert got == b"".join(b"data: %01000d\n\n" % number for number in range(1000))


def test_buffered_events_are_sent_before_the_stream_ends(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets())
    stream.offer(b"x" * 100_000)
    assert stream.waiting_bytes
    stream.begin_close()
    assert rest(peer) == b"x" * 100_000 + b":\n\n"
    eventually(lambda: stream.waiting_bytes == 0)
    other, listener = make(narrow_sockets())  # which the writer serves as well
    other.offer(b"y" * 100_000)
    assert read(listener, 100_000) == b"y" * 100_000


def test_a_close_gives_up_after_its_timeout(make: MakeStream, wire: Wiring) -> None:
    stream, _ = make(narrow_sockets())
    stream.offer(b"x" * 100_000)
    stream.begin_close(timeout=0.05)
    wire.run(stream.wait).result(TIMEOUT)


def test_all_clients_share_the_bytes_of_a_message() -> None:
    """A broadcast to a thousand clients is encoded once."""

    class Listener:
        encoding = Utf8()

        def __init__(self) -> None:
            self.offered: list[bytes] = []

        def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
            self.offered.append(frames)

    hub = Hub()
    listeners = [Listener() for _ in range(1000)]
    for listener in listeners:
        listener.encoding = Utf8()  # each has an object of its own, as connections do
        hub.join(listener)
    hub.broadcast("data: x\n\n")
    assert listeners[0].offered == [b"data: x\n\n"]
    assert len({id(listener.offered[0]) for listener in listeners}) == 1


def test_a_hub_sends_to_streams_and_ignores_disconnected_ones(make: MakeStream) -> None:
    hub = Hub()
    streams = [make() for _ in range(10)]
    for stream, _ in streams:
        hub.join(stream)
    streams[0][1].close()
    for number in range(10):
        hub.broadcast(f"data: {number}\n\n")
    wanted = b"".join(b"data: %d\n\n" % number for number in range(10))
    for _, peer in streams[1:]:
        assert read(peer, len(wanted)) == wanted


def test_a_reset_ends_with_1006_and_a_disconnect_with_1000(make: MakeStream) -> None:
    stream, listener = make(tcp_sockets())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    listener.close()  # a reset, as when the network fails
    stream.wait()
    stream.begin_close()
    assert (stream.closed and stream.closed.code) == 1006
    stream, listener = make(tcp_sockets())
    listener.close()
    stream.wait()
    stream.begin_close()
    assert (stream.closed and stream.closed.code) == 1000
