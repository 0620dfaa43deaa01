"""Slow peers: what is buffered for them and for how long, which senders wait, and which peers are evicted."""

from __future__ import annotations

import itertools
import socket
import threading

import pytest

from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import RawPeer, SocketPair, Wiring, end_of, narrow_sockets, received
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, TEXT_PART
from wschat.connection.connection import Connection
from wschat.connection.state import OPEN
from wschat.connection.transport import TransportClosed
from wschat.counters import Eviction, counters
from wschat.errors import ConnectionClosed, UsageError
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate
from wschat.protocol.encoding import Encoding
from wschat.protocol.frames import Opcode

BIG = b"x" * 50_000  # more than the narrow sockets take
BIG_AND_TEN = 60_000  # BIG and ten messages of 1000 bytes
FRAME = Encoding(masks=False, window_bits=0).encode
TOO_SLOW = (CLOSE, b"\x03\xf0too slow")


def blocked(wire: Wiring, **limits: float | str) -> tuple[Connection, RawPeer]:
    """Return a connection with one message in its send buffer, and the peer that has not read it."""
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(**limits))  # type: ignore[arg-type]
    connection.send(BIG)
    assert connection._outbox._buffer
    return connection, peer


@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflate"])
def test_a_send_waits_for_a_peer_that_does_not_read_and_goes_on_when_it_does(wire: Wiring, deflate: Deflate | None) -> None:
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=1000), deflate=deflate)
    connection.offer(FRAME(BIG))
    sending = wire.run(connection.send, b"waits")
    eventually(lambda: connection._outbox._changed)
    assert not sending.done()
    assert peer.frame() == (BINARY, BIG)
    assert peer.frame() == (BINARY, b"waits")
    sending.result()


def test_waiting_senders_all_continue_each_in_its_own_order(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=10_000))

    def send(thread: int) -> None:
        for number in range(100):
            connection.send(b"%d %d " % (thread, number) + b"x" * 2000)

    for thread in range(8):
        wire.run(send, thread)
    expected = [0] * 8
    for _ in range(800):
        sender, number, _ = peer.frame()[1].split(b" ")
        assert int(number) == expected[int(sender)]
        expected[int(sender)] += 1
        assert connection._outbox.waiting_bytes < 13_000  # the limit and one message


def test_a_send_that_waits_too_long_evicts_the_peer(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=1000, send_timeout=0.05)
    before = counters.read().evictions
    with pytest.raises(ConnectionClosed, match="1008 too slow"):
        connection.send("x")
    assert peer.frames_until(CLOSE) == [(BINARY, BIG), TOO_SLOW]
    peer.close()
    assert end_of(connection) == (1008, "too slow")
    assert counters.read().evictions - before == {Eviction.SEND_TIMEOUT: 1}


def test_a_close_wakes_waiting_senders(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=1000, send_timeout=0)
    sending = [wire.run(connection.send, message) for message in ("text", b"bytes", ["a", "b"])]
    eventually(lambda: connection._outbox._changed)
    connection.begin_close(1001, "away")
    for task in sending:
        error = task.exception(TIMEOUT)
        assert isinstance(error, ConnectionClosed)
        assert error.code == 1001
    assert peer.frames_until(CLOSE)[-1] == (CLOSE, b"\x03\xe9away")


def test_a_peer_that_disconnects_wakes_waiting_senders(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=1000, send_timeout=0)
    sending = wire.run(connection.send, "x")
    eventually(lambda: connection._outbox._changed)
    peer.close()
    assert isinstance(sending.exception(TIMEOUT), ConnectionClosed)


def test_without_limits_no_send_waits_and_no_peer_is_evicted(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=0, outbox_seconds=0, send_timeout=0)
    for _ in range(100):
        connection.send(BIG)
        connection.offer(FRAME(BIG))
    assert [peer.frame()[1] for _ in range(201)] == [BIG] * 201


# Offers, which never wait


def test_an_offer_past_the_limit_evicts_the_peer(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=200_000)
    before = counters.read().evictions
    frames = FRAME(BIG)
    for _ in range(100):
        connection.offer(frames)
    assert connection._outbox.waiting_bytes < len(frames) + 100
    assert peer.frames_until(CLOSE) == [(BINARY, BIG), TOO_SLOW]
    peer.close()
    assert end_of(connection) == (1008, "too slow")
    assert counters.read().evictions - before == {Eviction.OUTBOX_FULL: 1}


def test_a_single_message_above_the_limit_does_not_evict(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=10))
    connection.offer(FRAME(BIG))
    assert peer.frame() == (BINARY, BIG)


def test_an_eviction_completes_the_message_that_is_partly_sent(wire: Wiring) -> None:
    """Otherwise the peer could not read the close frame."""
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=20_000))
    for number in range(1000):
        connection.offer(FRAME(b"%05d" % number * 20))
    *frames, last = peer.frames_until(CLOSE)
    assert last == TOO_SLOW
    assert frames == [(BINARY, b"%05d" % number * 20) for number in range(len(frames))]


def test_an_evicted_peer_that_reads_again_gets_the_close_code(wire: Wiring, sockets: SocketPair) -> None:
    """Also over TLS, where part of a refused write may have been sent already."""
    sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server, client = wire.pair(sockets, limits=Limits(outbox_bytes=50_000), client_limits=Limits(ping_interval=0))
    frames = FRAME(b"x" * 1000)
    on_their_way = 0
    while server._outbox.waiting_bytes < 48_000:
        server.offer(frames)
        on_their_way += 1
    # Read a little, so that the writer joins many frames for one write, of which the kernel takes only a part.
    for _ in range(on_their_way // 2):
        client.recv(timeout=TIMEOUT)
    while server._outbox.waiting_bytes < 48_000:
        server.offer(frames)
    server._outbox.drain()
    while server._outbox.state is OPEN:
        server.offer(frames)
    wire.run(received, server)
    assert set(received(client)) == {b"x" * 1000}
    assert end_of(client) == (1008, "too slow")


def test_a_peer_that_is_behind_for_too_long_is_evicted(wire: Wiring) -> None:
    before = counters.read().evictions
    connection, peer = blocked(wire, outbox_seconds=0.05)
    receiving = wire.run(end_of, connection)
    eventually(lambda: connection._outbox.state is not OPEN)
    assert peer.frames_until(CLOSE) == [(BINARY, BIG), TOO_SLOW]
    peer.close()
    assert receiving.result() == (1008, "too slow")
    assert counters.read().evictions - before == {Eviction.TOO_OLD: 1}


def test_an_evicted_peer_that_never_reads_is_disconnected_after_the_close_timeout(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_seconds=0.05, close_timeout=0.05)
    assert end_of(connection) == (1008, "too slow")
    assert peer


def test_a_peer_that_is_always_a_little_behind_is_not_evicted(wire: Wiring) -> None:
    """The limit is on the age of each message, not on the time since the buffer was last empty."""
    connection, peer = blocked(wire, outbox_seconds=0.5)
    has_passed = threading.Event()
    connection._background.timers.call_later(0.8, has_passed.set)
    while not has_passed.wait(0.01):
        connection.send(BIG)
        assert peer.frame() == (BINARY, BIG)
    assert peer.frame() == (BINARY, BIG)


def test_a_peer_that_catches_up_gets_everything_in_order(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets())
    for number in range(3000):
        (connection.send if number % 3 else connection.offer)(number.to_bytes(4, "big") if number % 3 else FRAME(number.to_bytes(4, "big")))
    assert [int.from_bytes(peer.frame()[1], "big") for _ in range(3000)] == list(range(3000))
    eventually(lambda: connection._outbox._is_clear)
    connection.send("at once again")
    assert peer.frame() == (TEXT, b"at once again")


def test_big_and_small_buffered_messages_arrive_whole(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=0))
    sizes = [0, 1, 100, 65_535, 65_536, 200_000, 3, 3, 40_000, 40_000, 5] * 3
    for size in sizes:
        connection.send(b"y" * size)
    assert [len(peer.frame()[1]) for _ in sizes] == sizes


def test_a_buffered_batch_is_shared_not_copied(wire: Wiring) -> None:
    batch = FRAME(BIG)
    buffers = []
    for _ in range(3):
        connection, _ = wire.raw(narrow_sockets())
        connection.offer(batch)
        connection.offer(batch)
        buffers.append([chunk.obj if isinstance(chunk, memoryview) else chunk for chunk in connection._outbox._buffer])
    assert all(chunk is batch for chunk in itertools.chain(*buffers))
    assert [len(buffer) for buffer in buffers] == [2, 2, 2]


def test_an_offer_after_the_end_is_ignored(wire: Wiring) -> None:
    connection, peer = wire.raw()
    peer.close()
    assert received(connection) == []
    connection.offer(FRAME("x"))
    connection._outbox.flush()
    with pytest.raises(TransportClosed):
        connection._outbox.write_made(lambda: b"")


def test_an_offer_to_a_peer_that_is_gone_ends_with_1006(wire: Wiring) -> None:
    connection, peer = wire.raw()
    peer.close()
    connection.offer(FRAME("x"))
    assert end_of(connection)[0] == 1006


# Control frames


def blocked_with_message_received(wire: Wiring, *pings: bytes) -> tuple[Connection, RawPeer]:
    connection, peer = blocked(wire)
    for payload in pings:
        peer.send((PING, payload), (TEXT, b"received"))
        assert connection.recv(timeout=TIMEOUT) == "received"  # so the ping has been received, too
    return connection, peer


def test_only_the_newest_ping_is_answered_once_the_peer_reads_again(wire: Wiring) -> None:
    _, peer = blocked_with_message_received(wire, b"1", b"2", b"3")
    assert [peer.frame(), peer.frame()] == [(BINARY, BIG), (PONG, b"3")]


def test_all_pings_of_one_read_are_answered_if_the_outbox_has_room(wire: Wiring) -> None:
    connection, peer = wire.raw()
    peer.send((PING, b"1"), (PING, b"2"), (TEXT, b"x"))
    assert connection.recv(timeout=TIMEOUT) == "x"
    assert [peer.frame(), peer.frame()] == [(PONG, b"1"), (PONG, b"2")]


@pytest.mark.parametrize("ping_is_first", [True, False])
def test_nothing_follows_the_close_frame_not_even_a_pong(wire: Wiring, ping_is_first: bool) -> None:
    connection, peer = blocked_with_message_received(wire, *([b"early"] if ping_is_first else []))
    connection.begin_close()
    if not ping_is_first:
        peer.send((PING, b"late"), (TEXT, b"received"))
        assert connection.recv(timeout=TIMEOUT) == "received"
    peer.send((CLOSE, b"\x03\xe8"))
    wire.run(received, connection)
    assert peer.rest()[-1] == (CLOSE, b"\x03\xe8")


def test_a_pong_does_not_wait_for_all_buffered_messages(wire: Wiring) -> None:
    """A peer that is sent more and more would never get its pong, and would consider us gone."""
    connection, peer = blocked(wire)
    for _ in range(4):
        connection.send(BIG)
    peer.send((PING, b"?"), (TEXT, b"received"))
    assert connection.recv(timeout=TIMEOUT) == "received"
    frames = [peer.frame()[0] for _ in range(6)]
    assert frames.index(PONG) < 5


def test_our_ping_waits_only_for_the_messages_before_it(wire: Wiring) -> None:
    connection, peer = blocked(wire)
    pinging = wire.run(connection.ping, TIMEOUT)
    assert peer.frame() == (BINARY, BIG)
    first, payload = peer.frame()
    assert first == PING
    peer.send((PONG, payload))
    assert pinging.result() > 0


def test_the_close_frame_gets_through_to_a_peer_that_reads_again(wire: Wiring) -> None:
    connection, peer = blocked(wire)
    closing = wire.run(connection.close, 1001)
    assert peer.frames_until(CLOSE) == [(BINARY, BIG), (CLOSE, b"\x03\xe9")]
    peer.send((CLOSE, b"\x03\xe9"))
    assert peer.rest() == []  # the server ends the stream after the buffered frames
    peer.close()
    closing.result(TIMEOUT)


def test_a_close_frame_that_does_not_get_through_is_given_up_after_the_close_timeout(wire: Wiring) -> None:
    connection, peer = blocked(wire, close_timeout=0.05)
    connection.close(1001)
    assert end_of(connection)[0] == 1001
    assert peer


def test_the_reply_to_a_close_follows_the_buffered_messages_and_ends_the_stream(wire: Wiring) -> None:
    connection, peer = blocked(wire)
    peer.send((CLOSE, b"\x0f\xa0"))
    receiving = wire.run(end_of, connection)
    eventually(lambda: connection._outbox._half_closes)
    assert peer.rest() == [(BINARY, BIG), (CLOSE, b"\x0f\xa0")]
    peer.close()
    assert receiving.result() == (4000, "")


# Fragmented messages


def test_messages_held_behind_a_fragmented_one_count_towards_the_limit(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(outbox_bytes=1000))
    is_evicted = threading.Event()

    def parts() -> list[str]:
        for _ in range(11):
            connection.offer(FRAME(b"x" * 100))
        is_evicted.set()
        return ["d"]

    def fragments() -> itertools.chain[str]:
        return itertools.chain("abc", (part for _ in range(1) for part in wire.run(parts).result()))

    with pytest.raises(ConnectionClosed, match="1008"):
        connection.send(fragments())
    assert is_evicted.is_set()
    assert peer.frames_until(CLOSE)[-1] == TOO_SLOW


def test_messages_held_behind_a_fragmented_one_to_a_slow_peer_follow_it(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets())

    def parts() -> itertools.chain[str]:
        return itertools.chain(["a", "b" * 50_000, "c"], (str(wire.run(connection.send, "other").result())[:0] for _ in range(1)))

    connection.send(parts())
    kinds = [peer.frame()[0] for _ in range(5)]
    assert (kinds[0], kinds[3:]) == (TEXT_PART, [CONTINUATION, TEXT])


def test_a_connection_lost_during_a_fragmented_message_ends_with_1006(wire: Wiring) -> None:
    connection, peer = wire.raw()

    def parts() -> itertools.chain[str]:
        return itertools.chain("abc", (lose() for _ in range(1)))

    def lose() -> str:
        wire.run(connection.send, "held").result()
        peer.close()
        return "d"

    with pytest.raises(ConnectionClosed, match="1006"):
        connection.send(parts())
    assert end_of(connection)[0] == 1006


def test_a_fragmented_message_to_a_slow_peer_ends_with_1008(wire: Wiring) -> None:
    connection, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=1000, send_timeout=0.05))
    with pytest.raises(ConnectionClosed, match="1008 too slow"):
        connection.send(["x" * 50_000] * 4)
    assert peer.frames_until(CLOSE) == [(TEXT_PART, b"x" * 50_000), TOO_SLOW]


def test_corked_messages_are_dropped_when_the_peer_disconnects(wire: Wiring) -> None:
    connection, peer = wire.raw()
    connection._background.writer.schedule_release = lambda cork: True  # type: ignore[method-assign]  # so that only the test's thread releases it

    def handle() -> None:
        assert connection.recv(timeout=TIMEOUT) == "1"
        connection.send("corked")
        peer.close()
        assert received(connection) == ["2"]

    peer.send((TEXT, b"1"), (TEXT, b"2"))
    wire.run(handle).result()
    assert end_of(connection)[0] == 1006


# Slow peers with the policy `drop-oldest`


def numbered(number: int) -> bytes:
    return b"%03d" % number + b"x" * 997


def test_the_oldest_offers_are_dropped_and_the_rest_comes_whole_and_in_order(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=BIG_AND_TEN, slow_peer="drop-oldest")
    for number in range(100):
        connection.offer(FRAME(numbered(number)))
        connection._outbox.drain()  # as the writer may at any time: what the kernel did not take can still be dropped
        assert connection._outbox.waiting_bytes <= BIG_AND_TEN
    assert peer.frame() == (BINARY, BIG)
    seen = [peer.frame()[1]]
    while seen[-1] != numbered(99):
        seen.append(peer.frame()[1])
    assert 5 <= len(seen) <= 25  # the kernel has part of the first, which leaves room for more than ten
    assert seen == [numbered(number) for number in range(100 - len(seen), 100)]
    connection.offer(FRAME(b"still here"))
    assert peer.frame() == (BINARY, b"still here")


def test_only_offers_are_dropped(wire: Wiring) -> None:
    """Sent messages, fragmented messages and control frames are kept."""
    connection, peer = blocked(wire, outbox_bytes=BIG_AND_TEN, slow_peer="drop-oldest")
    connection.send("sent")
    connection.send(["in ", "parts"])
    connection._outbox.control(Encoding(masks=False, window_bits=0).frame(Opcode.PING, b"p"))
    for number in range(100):
        connection.offer(FRAME(numbered(number)))
    frames = peer.frames_until(PING)
    assert frames == [(BINARY, BIG), (TEXT, b"sent"), (TEXT_PART, b"in "), (CONTINUATION, b"parts"), (PING, b"p")]


def test_old_offers_are_dropped_and_the_peer_stays(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_seconds=0.05, slow_peer="drop-oldest")
    connection.offer(FRAME(b"old" + BIG))  # too big to be written together with the first
    size = connection._outbox.waiting_bytes
    eventually(lambda: connection._outbox.waiting_bytes < size)
    connection.send(b"sent")
    assert peer.frame() == (BINARY, BIG)
    assert peer.frame() == (BINARY, b"sent")


def test_a_peer_that_is_too_slow_for_a_single_offer_is_evicted(wire: Wiring) -> None:
    connection, peer = blocked(wire, outbox_bytes=1000, slow_peer="drop-oldest")
    connection.offer(FRAME(b"x"))
    assert peer.frames_until(CLOSE) == [(BINARY, BIG), TOO_SLOW]


@pytest.mark.parametrize("policy", ["", "Evict", "drop"])
def test_slow_peer_must_be_evict_or_drop_oldest(policy: str) -> None:
    with pytest.raises(UsageError, match="evict, drop-oldest"):
        Limits(slow_peer=policy)
