"""Streams of server-sent events: what is sent, what is not waited for, and how they end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.connection.wiring import PATIENCE, SocketPair, Wiring, eventually, narrow_sockets, tcp_sockets, unix_sockets
from wschat.connection import event_stream
from wschat.connection.event_stream import EventStream, Utf8
from wschat.connection.streams import open_stream
from wschat.errors import ConnectionClosed
from wschat.hub import Hub
from wschat.limits import DEFAULT_LIMITS, Limits

MakeStream = Callable[..., tuple[EventStream, socket.socket]]


@pytest.fixture
def make(wire: Wiring) -> Iterator[MakeStream]:  # whose threads wait for the streams: they end after these
    """Makes streams, each with the socket of its client; all end with the test."""
    with contextlib.ExitStack() as stack:

        def make(sockets: SocketPair | None = None, limits: Limits = DEFAULT_LIMITS, **options: Any) -> tuple[EventStream, socket.socket]:
            ours, theirs = sockets or unix_sockets()
            stream = EventStream(open_stream(ours), limits=limits, path="/events", remote_address="somewhere", **options)
            stack.callback(stream.release)
            stack.enter_context(theirs).settimeout(PATIENCE)
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


def test_an_evicted_client_finds_the_end_when_it_reads_again(make: MakeStream) -> None:
    stream, peer = make(narrow_sockets(), Limits(outbox_bytes=1000, close_timeout=0))
    while not stream.was_evicted:
        stream.offer(b"data: x\n\n" * 100)
    assert rest(peer).startswith(b"data: x\n\n")


def test_no_client_loses_events_unnoticed(make: MakeStream) -> None:
    """`drop-oldest` is for WebSockets: a client of this one would not know that there is a hole."""
    stream, _ = make(narrow_sockets(), Limits(outbox_bytes=1000, slow_peer="drop-oldest"))
    while not stream.was_evicted:
        stream.offer(b"data: x\n\n" * 100)


def test_send_waits_until_the_kernel_has_taken_the_text(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets())
    sending = wire.run(send_all, stream, ["x" * 1_000_000])
    assert len(read(peer, 900_000)) == 900_000
    read(peer, 100_000)
    sending.result(PATIENCE)
    assert stream.waiting_bytes == 0


def test_texts_arrive_as_they_are(make: MakeStream, sockets: SocketPair) -> None:
    stream, peer = make(sockets)
    stream.send("data: é\n\n")
    stream.offer(b"data: y\n\n")
    wanted = "data: é\n\ndata: y\n\n".encode()
    assert read(peer, len(wanted)) == wanted
    assert (stream.bytes_sent, stream.bytes_received, stream.waiting_bytes, stream.closed) == (len(wanted), 0, 0, None)


def test_what_was_sent_before_the_end_arrives(make: MakeStream, sockets: SocketPair, wire: Wiring) -> None:
    stream, peer = make(sockets)
    waiting = wire.run(stream.wait)
    stream.send("data: x\n\n")
    stream.begin_close(1001, "enough")
    assert rest(peer) == b"data: x\n\n:\n\n"
    assert not waiting.done()  # until the client has left, too
    peer.close()
    waiting.result(PATIENCE)
    assert stream.closed is not None
    assert (stream.closed.code, stream.closed.reason) == (1001, "enough")


def test_the_first_end_is_the_one_that_counts(make: MakeStream) -> None:
    stream, peer = make()
    stream.begin_close(1001, "enough")
    stream.begin_close(1008, "too late")
    assert stream.closed is not None
    assert stream.closed.code == 1001
    assert rest(peer) == b":\n\n"


def test_a_client_that_leaves_ends_the_stream(make: MakeStream, sockets: SocketPair, wire: Wiring) -> None:
    stream, peer = make(sockets)
    waiting = wire.run(stream.wait)
    peer.close()
    waiting.result(PATIENCE)
    stream.release()
    assert stream.closed is not None
    assert stream.closed.code == 1006
    with pytest.raises(ConnectionClosed):
        stream.send("data: x\n\n")
    stream.offer(b"data: x\n\n")  # which raises nothing, as in a hub


def test_what_a_client_sends_is_ignored(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make()
    waiting = wire.run(stream.wait)
    peer.sendall(b"x" * 10_000)
    stream.send("data: x\n\n")
    assert read(peer, 9) == b"data: x\n\n"
    assert not waiting.done()


def test_comments_come_by_themselves_until_the_end(make: MakeStream) -> None:
    stream, peer = make(comment_interval=0.01)
    assert read(peer, 9) == b":\n\n" * 3
    stream.send("data: x\n\n")
    stream.begin_close()
    assert rest(peer).replace(b":\n\n", b"") == b"data: x\n\n"


def test_by_default_they_come_every_15_seconds() -> None:
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
    waiting.result(PATIENCE)  # it is not waited for
    got = rest(peer).replace(b":\n\n", b"")
    assert len(got) < 100 * len(event)
    assert got.replace(event, b"") == b""  # no event is torn


def test_send_waits_for_a_slow_client_until_the_timeout(make: MakeStream) -> None:
    stream, _ = make(narrow_sockets(), Limits(outbox_bytes=10_000, send_timeout=0.1, close_timeout=0.1))
    with pytest.raises(ConnectionClosed) as closed:
        send_all(stream, ["data: " + "x" * 1000 + "\n\n"] * 1000)
    assert closed.value.code == 1008
    assert stream.was_evicted


def test_sending_goes_on_as_the_peer_reads(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets(), Limits(outbox_bytes=10_000))
    sending = wire.run(send_all, stream, [f"data: {number:01000}\n\n" for number in range(1000)])
    got = read(peer, 1000 * 1008)
    sending.result(PATIENCE)
    assert got == b"".join(b"data: %01000d\n\n" % number for number in range(1000))


def test_what_waits_when_it_is_closed_is_sent_before_the_end(make: MakeStream, wire: Wiring) -> None:
    stream, peer = make(narrow_sockets())
    stream.offer(b"x" * 100_000)
    assert stream.waiting_bytes
    stream.begin_close()
    assert rest(peer) == b"x" * 100_000 + b":\n\n"
    eventually(lambda: stream.waiting_bytes == 0)
    other, listener = make(narrow_sockets())  # for which the writer still has time
    other.offer(b"y" * 100_000)
    assert read(listener, 100_000) == b"y" * 100_000


def test_a_close_is_limited_in_time(make: MakeStream, wire: Wiring) -> None:
    stream, _ = make(narrow_sockets())
    stream.offer(b"x" * 100_000)
    stream.begin_close(timeout=0.05)
    wire.run(stream.wait).result(PATIENCE)


def test_all_clients_share_the_bytes_of_a_message() -> None:
    """A thousand of them cost one encoding."""

    class Listener:
        encoding = Utf8()

        def __init__(self) -> None:
            self.offered: list[bytes] = []

        def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
            self.offered.append(frames)

    hub = Hub()
    listeners = [Listener() for _ in range(1000)]
    for listener in listeners:
        listener.encoding = Utf8()  # each its own, as connections have
        hub.join(listener)
    hub.broadcast("data: x\n\n")
    assert listeners[0].offered == [b"data: x\n\n"]
    assert len({id(listener.offered[0]) for listener in listeners}) == 1


def test_a_hub_reaches_streams_and_forgets_those_who_left(make: MakeStream) -> None:
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


def test_a_listener_that_vanishes_is_told_from_one_that_leaves(make: MakeStream) -> None:
    stream, listener = make(tcp_sockets())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    listener.close()  # as when the network is gone: there is no end of the stream, but an error
    stream.wait()
    stream.begin_close()
    assert (stream.closed and stream.closed.code) == 1006
    stream, listener = make(tcp_sockets())
    listener.close()
    stream.wait()
    stream.begin_close()
    assert (stream.closed and stream.closed.code) == 1000
