"""Corks: the writes of a thread that handles a batch of messages are sent together, but never late."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import Future

import pytest

from tests.concurrency import TIMEOUT
from tests.connection.wiring import RawPeer, Wiring, received
from tests.protocol.wire import CLOSE, CONTINUATION, CONTINUATION_PART, PING, PONG, TEXT, TEXT_PART, stream
from wschat.connection.connection import Connection
from wschat.connection.cork import Cork, current, uncork
from wschat.connection.streams import BlockingStream
from wschat.errors import ConnectionClosed
from wschat.hub import Hub
from wschat.limits import Limits


class CountingStream(BlockingStream):
    """Records each write."""

    __slots__ = ("writes",)

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.writes: list[bytes] = []
        send = self.send

        def counted(data: bytes, flags: int) -> int:
            self.writes.append(bytes(data))
            return send(data, flags)

        self.send = counted  # type: ignore[assignment]


def counted(wire: Wiring) -> tuple[Connection, RawPeer, list[bytes]]:
    connection, peer = wire.raw(limits=Limits(ping_interval=0), make_stream=CountingStream)
    assert isinstance(connection._receiver._stream, CountingStream)
    return connection, peer, connection._receiver._stream.writes


def keep_writer_from_releasing(connection: Connection) -> None:
    """Keep the writer from releasing corks of this connection, so that only its own thread does."""
    connection._background.writer.schedule_release = lambda cork: True  # type: ignore[method-assign]


def batch(count: int) -> list[tuple[int, bytes]]:
    return [(TEXT, b"%d" % number) for number in range(count)]


def test_replies_to_pipelined_messages_leave_in_one_write(wire: Wiring) -> None:
    connection, peer, writes = counted(wire)
    keep_writer_from_releasing(connection)
    peer.send(*batch(16))
    peer.socket.shutdown(1)
    for message in connection:
        connection.send(message)
    assert writes == [stream(batch(16), masked=False)]
    assert peer.rest() == batch(16)


def test_a_reply_to_a_single_message_is_not_held_back(wire: Wiring) -> None:
    connection, peer, writes = counted(wire)
    peer.send((TEXT, b"1"))
    connection.send(connection.recv(timeout=TIMEOUT))
    assert writes == [b"\x81\x011"]


def test_many_and_big_replies_do_not_wait_for_uncork(wire: Wiring) -> None:
    connection, peer, writes = counted(wire)
    keep_writer_from_releasing(connection)
    peer.send(*batch(3))
    assert connection.recv(timeout=TIMEOUT) == "0"
    for number in range(100):
        connection.send(f"{number}")
    assert 1 <= len(writes) < 5
    connection.send("x" * 5000)
    assert b"".join(writes)[-5000:] == b"x" * 5000
    assert [peer.frame()[1] for _ in range(101)] == [b"%d" % number for number in range(100)] + [b"x" * 5000]


def test_a_message_of_another_thread_sends_the_corked_frames_first(wire: Wiring) -> None:
    connection, peer, writes = counted(wire)
    keep_writer_from_releasing(connection)
    peer.send(*batch(3))
    assert connection.recv(timeout=TIMEOUT) == "0"
    connection.send("corked")
    assert writes == []
    wire.run(connection.send, "from another thread").result()
    connection.offer(b"\x81\x05offer")
    connection.send("again")
    peer.send((PING, b"p"))
    wire.run(connection.ping)
    assert [peer.frame()[1] for _ in range(4)] == [b"corked", b"from another thread", b"offer", b"again"]
    assert peer.frame()[0] == PING
    assert peer.frame() == (PONG, b"p")


def test_a_fragmented_message_keeps_its_order_in_a_cork(wire: Wiring) -> None:
    connection, peer, _ = counted(wire)
    keep_writer_from_releasing(connection)
    peer.send(*batch(3))
    assert connection.recv(timeout=TIMEOUT) == "0"
    connection.send("before")
    connection.send(["a", "b"])
    connection.send("after")
    connection.begin_close()
    assert [peer.frame() for _ in range(4)] == [(TEXT, b"before"), (TEXT_PART, b"a"), (0x80, b"b"), (TEXT, b"after")]


def test_a_cork_is_released_while_its_thread_is_busy(wire: Wiring) -> None:
    connection, peer = wire.raw()
    may_go_on = threading.Event()

    def handle() -> None:
        for message in connection:
            connection.send(message)
            assert may_go_on.wait(TIMEOUT)

    handling = wire.run(handle)
    peer.send(*batch(3))
    assert peer.frame() == (TEXT, b"0")
    may_go_on.set()
    assert [peer.frame(), peer.frame()] == batch(3)[1:]
    peer.close()
    handling.result()


def test_a_cork_continues_after_the_writer_released_it(wire: Wiring) -> None:
    connection, peer = wire.raw()

    def handle() -> None:
        for message in connection:
            connection.send(message)
            if int(message) % 10 == 0:
                assert peer.frame() == (TEXT, str(message).encode())  # the writer has released the cork
            else:
                seen.append(peer.frame())

    seen: list[tuple[int, bytes]] = []
    handling = wire.run(handle)
    peer.send(*batch(30))
    peer.socket.shutdown(1)
    handling.result()
    assert seen == [frame for number, frame in enumerate(batch(30)) if number % 10]


def test_messages_of_a_thread_that_stops_receiving_are_sent(wire: Wiring) -> None:
    connection, peer = wire.raw()

    def handle() -> None:
        assert connection.recv(timeout=TIMEOUT) == "0"
        for number in range(1000):
            connection.send(str(number))

    peer.send(*batch(3))
    wire.run(handle).result()
    assert [peer.frame() for _ in range(1000)] == batch(1000)


def test_messages_to_other_connections_are_delivered(wire: Wiring) -> None:
    connection, peer = wire.raw()
    others = [wire.raw() for _ in range(5)]

    def handle() -> None:
        for message in connection:
            for other, _ in others:
                other.send(message)

    handling = wire.run(handle)
    peer.send(*batch(50))
    for _, its_peer in others:
        assert [its_peer.frame() for _ in range(50)] == batch(50)
    peer.close()
    handling.result()


def test_a_broadcast_before_a_close_is_sent_before_the_close_frame(wire: Wiring) -> None:
    connection, peer, _ = counted(wire)
    keep_writer_from_releasing(connection)
    hub = Hub()
    hub.join(connection)
    peer.send(*batch(3))

    def handle() -> None:
        for message in connection:
            hub.broadcast(message)
            if message == "1":
                connection.begin_close()
                return

    wire.run(handle).result()
    assert peer.frames_until(CLOSE) == [*batch(2), (CLOSE, b"\x03\xe8")]


def test_a_cork_does_not_outlive_the_background_threads(wire: Wiring) -> None:
    """A thread that has handled a batch sends on another connection, long after the first has closed."""
    connection, peer = wire.raw()
    peer.send(*batch(2))
    is_over = threading.Event()

    def handle() -> None:
        assert [connection.recv(timeout=TIMEOUT) for _ in range(2)] == ["0", "1"]
        has_received.set()
        assert is_over.wait(TIMEOUT)
        other.send("x")

    has_received = threading.Event()
    handling = wire.run(handle)
    assert has_received.wait(TIMEOUT)
    peer.close()
    assert wire.run(received, connection).result() == []  # the last connection, so the writer thread has ended
    other, its_peer = wire.raw()
    is_over.set()
    handling.result()
    its_peer.socket.settimeout(5)
    assert its_peer.frame() == (TEXT, b"x")


# Other threads act just when a frame is corked


class Racing(list[bytes]):
    """A list of corked frames that calls `overtake` just before the second frame is added."""

    def __init__(self, overtake: Callable[[], object]) -> None:
        super().__init__()
        self._overtake = overtake

    def append(self, frame: bytes) -> None:
        if b"second" in frame:
            self._overtake()
        super().append(frame)


def send_two(wire: Wiring, connection: Connection, peer: RawPeer, overtake: Callable[[], object]) -> Future[None]:
    """Receive a batch and send two messages. Call `overtake` just before the second is corked."""
    keep_writer_from_releasing(connection)
    peer.send(*batch(3))

    def handle() -> None:
        assert connection.recv(timeout=TIMEOUT) == "0"
        connection._outbox._corked = Racing(overtake)
        try:
            connection.send("first")
            connection.send("second")
        finally:
            uncork()

    return wire.run(handle)


@pytest.mark.interpreted
def test_a_frame_corked_during_an_early_release_is_sent(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0))

    def overtake() -> None:
        assert current.cork is not None
        wire.run(current.cork.release_early).result()

    sending = send_two(wire, connection, peer, overtake)
    assert [peer.frame(), peer.frame()] == [(TEXT, b"first"), (TEXT, b"second")]
    sending.result()


@pytest.mark.interpreted
def test_a_frame_corked_as_another_thread_begins_a_fragmented_message_follows_it(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0))
    has_begun, may_end = threading.Event(), threading.Event()

    def parts() -> Iterator[str]:
        yield "a"
        yield "b"
        has_begun.set()
        assert may_end.wait(TIMEOUT)
        yield "c"

    fragmented: list[Future[None]] = []

    def overtake() -> None:
        fragmented.append(wire.run(connection.send, parts()))
        assert has_begun.wait(TIMEOUT)

    send_two(wire, connection, peer, overtake).result()
    may_end.set()
    fragmented[0].result()
    assert [peer.frame() for _ in range(5)] == [
        (TEXT, b"first"),
        (TEXT_PART, b"a"),
        (CONTINUATION_PART, b"b"),
        (CONTINUATION, b"c"),
        (TEXT, b"second"),
    ]


@pytest.mark.interpreted
def test_a_frame_corked_as_another_thread_closes_is_not_sent(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0))
    sending = send_two(wire, connection, peer, lambda: wire.run(connection.begin_close).result())
    assert [peer.frame(), peer.frame()] == [(TEXT, b"first"), (CLOSE, b"\x03\xe8")]
    with pytest.raises(ConnectionClosed, match="1000"):
        sending.result()
    peer.socket.shutdown(1)
    assert received(connection) == ["1", "2"]
    assert peer.rest() == []


def whole_text(peer: RawPeer) -> bytes:
    """Read a message. Check that its fragments are contiguous."""
    first, text = peer.frame()
    while first not in (TEXT, CONTINUATION):
        first, part = peer.frame()
        assert first in (CONTINUATION_PART, CONTINUATION)
        text += part
    return text


def test_messages_of_many_threads_stay_whole_and_in_their_order(wire: Wiring) -> None:
    """A handler replies in corks while other threads send big messages, fragmented messages and offers."""
    connection, peer = wire.raw(limits=Limits(outbox_bytes=0))
    others: dict[str, Callable[[str], object]] = {
        "big": lambda text: connection.send(text + "x" * 5000),
        "fragmented": lambda text: connection.send([text, "x", "y"]),
        "offered": lambda text: connection.offer(connection.encoding.encode(text)),
    }

    def reply() -> None:
        for message in connection:
            connection.send(f"reply {int(message)}")

    def send_all(kind: str) -> None:
        for number in range(300):
            others[kind](f"{kind} {number} ")

    def ask() -> None:
        for _ in range(20):
            peer.send(*batch(15))

    threads = [wire.run(reply), wire.run(ask), *(wire.run(send_all, kind) for kind in others)]
    seen: dict[str, list[int]] = {}
    for _ in range(4 * 300):
        kind, number = whole_text(peer).decode().split()[:2]
        seen.setdefault(kind, []).append(int(number))
    assert seen == {"reply": [*range(15)] * 20} | {kind: [*range(300)] for kind in others}
    peer.close()
    for thread in threads:
        thread.result()


# A cork by itself


class Recorder:
    """A flushable that counts its flushes, and a scheduler that records corks."""

    def __init__(self) -> None:
        self.flushes = 0
        self.scheduled: list[Cork] = []

    def flush(self) -> None:
        self.flushes += 1

    def schedule_release(self, cork: Cork) -> bool:
        self.scheduled.append(cork)
        return True


def test_a_release_is_scheduled_by_the_first_flushable_and_again_after_an_early_release() -> None:
    flushable, other, scheduler = Recorder(), Recorder(), Recorder()
    cork = Cork(scheduler, ["one more"])
    assert [cork.add(flushable), cork.add(other)] == [True, True]
    assert scheduler.scheduled == [cork]
    cork.release_early()
    assert (flushable.flushes, other.flushes) == (1, 1)
    assert cork.add(flushable)
    assert scheduler.scheduled == [cork, cork]
    cork.release()
    assert (flushable.flushes, other.flushes) == (2, 1)


@pytest.mark.parametrize(("unfinished", "defers"), [([], False), (["one more"], True)])
def test_after_an_early_release_a_cork_defers_only_while_messages_are_left(unfinished: Sized, defers: bool) -> None:
    flushable = Recorder()
    cork = Cork(Recorder(), unfinished)
    assert cork.add(flushable)
    cork.release_early()
    assert cork.add(flushable) is defers
    cork.begin()
    try:
        assert cork.add(flushable)
    finally:
        uncork()


def test_a_cork_belongs_to_its_thread(wire: Wiring) -> None:
    flushable = Recorder()
    cork = Cork(flushable, ["x"])
    cork.begin()
    try:
        assert cork.add(flushable)
        assert wire.run(lambda: current.cork).result() is None
        wire.run(uncork).result()
        assert flushable.flushes == 0
    finally:
        uncork()
    assert flushable.flushes == 1
    assert current.cork is None


def test_a_cork_without_a_running_writer_defers_nothing(wire: Wiring) -> None:
    """The writer ends with the last connection, though a thread may still have unread messages of it."""
    hub = Hub()
    client, peer = wire.raw(is_client=True)
    peer.send((TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three"))
    assert client.recv(TIMEOUT) == "one"
    writer = client._background.writer
    writer.stop()
    member, other = wire.raw()
    hub.join(member)
    for number in range(3):
        hub.broadcast(f"{number}")
        assert other.frame() == (TEXT, f"{number}".encode())
