"""A connection as its users see it: messages in both directions, pings, and all ways to end."""

from __future__ import annotations

import gc
import random
import struct
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from functools import partial

import pytest

from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import SocketPair, Wiring, end_of, is_receiving, received, tcp_sockets
from tests.protocol.wire import BINARY, CLOSE, COMPRESSED, CONTINUATION, CONTINUATION_PART, PING, PONG, TEXT, TEXT_PART, stream
from wschat.connection.connection import Connection
from wschat.connection.state import CLOSED
from wschat.errors import ConnectionClosed, UsageError
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate

DEFLATES = [
    pytest.param(None, id="plain"),
    pytest.param(Deflate(), id="deflate"),
    pytest.param(Deflate(server_no_context_takeover=True, client_no_context_takeover=True), id="deflate, no context"),
]

MESSAGES = [
    pytest.param("", "", id="empty text"),
    pytest.param("Hello server!", "Hello server!", id="text"),
    pytest.param("grüß 🜁 dich", "grüß 🜁 dich", id="text beyond ASCII"),
    pytest.param(b"", b"", id="empty bytes"),
    pytest.param(b"\x00\xff" * 100, b"\x00\xff" * 100, id="bytes"),
    pytest.param(bytearray(b"abc"), b"abc", id="bytearray"),
    pytest.param(memoryview(b"xabcx")[1:4], b"abc", id="memoryview"),
    pytest.param("x" * 125, "x" * 125, id="the longest short text"),
    pytest.param("x" * 126, "x" * 126, id="the shortest long text"),
    pytest.param("y" * 70_000, "y" * 70_000, id="long text"),
    pytest.param(["one"], "one", id="one fragment"),
    pytest.param(["Hel", "", "lo"], "Hello", id="fragments of text"),
    pytest.param((part for part in (b"a", b"b", b"c")), b"abc", id="fragments from a generator"),
    pytest.param([b"a", bytearray(b"b"), memoryview(b"c")], b"abc", id="fragments of all kinds of bytes"),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
@pytest.mark.parametrize("from_server", [True, False], ids=["to the client", "to the server"])
def test_a_message_arrives_as_it_was_sent(wire: Wiring, from_server: bool, message: str | bytes, expected: object) -> None:
    if isinstance(message, Iterator):
        message = [b"a", b"b", b"c"]  # type: ignore[assignment]  # one test exhausts a generator
    server, client = wire.pair()
    sender, receiver = (server, client) if from_server else (client, server)
    sender.send(iter(message) if isinstance(message, list) else message)
    assert receiver.recv(timeout=TIMEOUT) == expected


@pytest.mark.parametrize("deflate", DEFLATES)
def test_big_messages_go_both_ways_at_once(wire: Wiring, sockets: SocketPair, deflate: Deflate | None) -> None:
    limits = Limits(max_message_bytes=0, outbox_bytes=1 << 16)
    server, client = wire.pair(sockets, limits=limits, client_limits=limits, deflate=deflate)
    big = random.Random(1).randbytes(3_000_000)
    wire.run(server.send, big + b"server")
    wire.run(client.send, big + b"client")
    at_client = wire.run(client.recv, TIMEOUT)
    assert server.recv(timeout=TIMEOUT) == big + b"client"
    assert at_client.result() == big + b"server"


@pytest.mark.parametrize("deflate", DEFLATES)
def test_messages_from_many_threads_are_whole_and_each_threads_in_order(wire: Wiring, sockets: SocketPair, deflate: Deflate | None) -> None:
    threads, count = 8, 500
    sides = wire.pair(sockets, deflate=deflate)

    def send(side: Connection, thread: int) -> None:
        chance = random.Random(thread)
        for number in range(count):
            size = chance.choice((0, 10, 100, 300, 5000))
            text = f"{thread} {number} {size} " + chance.choice("abc") * size
            side.send([text[:4], text[4:9], text[9:]] if number % 50 == 0 else text)

    def receive(side: Connection) -> None:
        expected = [0] * threads
        for _ in range(threads * count):
            message = side.recv(timeout=TIMEOUT)
            assert isinstance(message, str)
            thread, number, size, text = message.split(" ")
            assert int(number) == expected[int(thread)]
            assert (len(text), len(set(text))) == (int(size), min(1, int(size)))
            expected[int(thread)] += 1

    tasks = [wire.run(send, side, thread) for side in sides for thread in range(threads)]
    tasks += [wire.run(receive, side) for side in sides]
    for task in tasks:
        task.result()


@pytest.mark.parametrize("value", [None, 7, 1.5, {"a": 1}, [1], [None, "a"], ["a", b"b"], [b"a", "b"], "\ud800", ["\ud800"]])
def test_sending_something_that_is_not_a_message_raises_usage_error(wire: Wiring, value: str) -> None:
    server, client = wire.pair()
    with pytest.raises(UsageError):
        server.send(value)
    server.send("next")
    assert client.recv(timeout=TIMEOUT) == "next"


@pytest.mark.parametrize("deflate", DEFLATES)
def test_an_empty_iterable_sends_nothing(wire: Wiring, deflate: Deflate | None) -> None:
    server, client = wire.pair(deflate=deflate)
    nothing: list[str] = []
    server.send(nothing)
    server.send("next")
    assert client.recv(timeout=TIMEOUT) == "next"


def test_fragments_are_frames_of_one_message(wire: Wiring) -> None:
    server, peer = wire.raw()
    server.send(["a", "b", "c"])
    assert [peer.frame() for _ in range(3)] == [(TEXT_PART, b"a"), (CONTINUATION_PART, b"b"), (CONTINUATION, b"c")]


def parts_then_error(error: Exception) -> Iterator[str]:
    yield from ("a", "b", "c")
    raise error


def text_then_bytes() -> Iterator[str]:
    yield from ("a", "b", "c")
    yield b"d"  # type: ignore[misc]


@pytest.mark.parametrize(("parts", "error"), [(parts_then_error(KeyError("x")), KeyError), (text_then_bytes(), UsageError)])
def test_a_message_that_cannot_be_finished_closes_with_1011(wire: Wiring, parts: Iterator[str], error: type[Exception]) -> None:
    server, client = wire.pair()
    with pytest.raises(error):
        server.send(parts)
    receiving = wire.run(end_of, client)
    assert end_of(server)[0] == 1011
    assert receiving.result() == (1011, "a message could not be finished")


def test_an_iterable_that_fails_before_anything_was_sent_leaves_the_connection_open(wire: Wiring) -> None:
    server, client = wire.pair()
    with pytest.raises(ZeroDivisionError):
        server.send(str(1 // number) for number in (1, 0))
    server.send("next")
    assert client.recv(timeout=TIMEOUT) == "next"


def test_messages_of_other_threads_wait_for_the_end_of_a_fragmented_one_but_pings_do_not(wire: Wiring) -> None:
    server, peer = wire.raw()

    wire.run(received, server)
    frames = []

    def parts() -> Iterator[str]:
        yield "a"
        yield "b"  # "a" is sent once the next part is known
        wire.run(server.send, "other").result()
        wire.run(server.offer, b"\x81\x05offer").result()
        peer.send((PING, b"?"))
        frames.extend(peer.frames_until(PONG))
        yield "c"

    wire.run(server.send, parts()).result()
    frames.extend(peer.frames_until(TEXT))
    assert frames == [(TEXT_PART, b"a"), (PONG, b"?"), (CONTINUATION_PART, b"b"), (CONTINUATION, b"c"), (TEXT, b"other")]
    assert peer.frame() == (TEXT, b"offer")


def test_two_fragmented_messages_go_one_after_the_other(wire: Wiring) -> None:
    server, client = wire.pair()
    is_first_begun, may_end = threading.Event(), threading.Event()

    def first() -> Iterator[str]:
        yield "1"
        is_first_begun.set()
        yield "2"
        assert may_end.wait(TIMEOUT)
        yield "3"

    def second() -> Iterator[str]:
        yield "4"
        may_end.set()
        yield "5"

    wire.run(server.send, first())
    assert is_first_begun.wait(TIMEOUT)
    wire.run(server.send, second())
    assert [client.recv(timeout=TIMEOUT) for _ in range(2)] == ["123", "45"]


def test_a_close_ends_a_fragmented_message_and_the_messages_waiting_for_it(wire: Wiring) -> None:
    server, peer = wire.raw()
    is_closed = threading.Event()

    def parts() -> Iterator[str]:
        yield from "abc"
        assert is_closed.wait(TIMEOUT)
        yield "d"

    first = wire.run(server.send, parts())
    eventually(lambda: server._outbox._buffer.is_holding)
    second = wire.run(server.send, ["1", "2"])
    eventually(lambda: server._outbox._changed)
    server.begin_close(1001)
    is_closed.set()
    for sending in (first, second):
        error = sending.exception()
        assert isinstance(error, ConnectionClosed)
        assert error.code == 1001
    assert peer.frames_until(CLOSE)[-1] == (CLOSE, b"\x03\xe9")
    with pytest.raises(ConnectionClosed):
        server.send(["1", "2"])


def test_sending_a_fragmented_message_from_the_parts_of_another_raises_usage_error(wire: Wiring) -> None:
    server, client = wire.pair()

    def parts() -> Iterator[str]:
        yield from "abc"
        server.send(["x", "y"])
        yield "d"

    with pytest.raises(UsageError):
        server.send(parts())
    wire.run(server.close)
    assert end_of(client)[0] == 1011


def test_a_message_sent_from_the_parts_of_another_does_not_interrupt_it(wire: Wiring) -> None:
    server, client = wire.pair()

    def parts() -> Iterator[str]:
        yield from "abc"
        server.send("other")
        yield "d"

    server.send(parts())
    wire.run(server.close)
    assert sorted(map(str, received(client))) == ["abcd", "other"]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_recv_that_times_out_leaves_the_connection_as_it_was(wire: Wiring, sockets: SocketPair, timeout: float) -> None:
    server, client = wire.pair(sockets, limits=Limits(ping_interval=0), client_limits=Limits(ping_interval=0))
    for side, other in ((server, client), (client, server)):
        receiving = wire.run(side.recv, timeout)
        if not wait([receiving], timeout=5).done:
            other.send("wake up")
            pytest.fail("it did not time out")
        with pytest.raises(TimeoutError, match="no message within"):
            receiving.result()
        other.send("still here")
        assert side.recv(timeout=TIMEOUT) == "still here"


def test_a_recv_times_out_while_another_thread_receives(wire: Wiring) -> None:
    server, client = wire.pair()
    receiving = wire.run(server.recv)
    eventually(lambda: is_receiving(server))
    with pytest.raises(TimeoutError):
        server.recv(timeout=0.01)
    client.send("for the one that waits")
    assert receiving.result(TIMEOUT) == "for the one that waits"


def test_another_receiver_goes_on_reading_when_the_reading_thread_times_out(wire: Wiring) -> None:
    """A thread that waited for the reading thread takes its place."""
    server, client = wire.pair()
    with_timeout = wire.run(server.recv, 0.05)
    eventually(lambda: is_receiving(server))
    without = wire.run(server.recv)
    assert isinstance(with_timeout.exception(), TimeoutError)
    client.send("x")
    assert without.result(TIMEOUT) == "x"


def test_each_message_goes_to_one_of_the_threads_that_receive(wire: Wiring) -> None:
    server, client = wire.pair()
    receivers = [wire.run(received, server) for _ in range(4)]
    for number in range(2000):
        client.send(str(number))
    client.close()
    got = [receiver.result(TIMEOUT) for receiver in receivers]
    assert sorted(int(message) for messages in got for message in messages) == list(range(2000))


def test_bytes_read_with_the_opening_request_are_the_first_message(wire: Wiring) -> None:
    server, peer = wire.raw(already_read=stream([(TEXT, b"early"), (PING, b"p")], masked=True) + b"\x81")
    peer.socket.sendall(b"\x80\0\0\0\0")
    assert peer.frame() == (PONG, b"p")
    assert [server.recv(timeout=TIMEOUT) for _ in range(2)] == ["early", ""]


def test_a_close_read_with_the_opening_request_is_answered(wire: Wiring) -> None:
    server, peer = wire.raw(already_read=stream([(TEXT, b"early"), (CLOSE, b"\x03\xe8")], masked=True))
    receiving = wire.run(received, server)
    assert peer.rest() == [(CLOSE, b"\x03\xe8")]
    peer.close()
    assert receiving.result() == ["early"]


# Ending


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1000, "bye"), (1001, "ü" * 61), (3000, "registered"), (4999, "x" * 123), (1011, "")]
)
@pytest.mark.parametrize("by_server", [True, False], ids=["by the server", "by the client"])
def test_both_sides_learn_the_close_code_and_reason(wire: Wiring, sockets: SocketPair, by_server: bool, code: int, reason: str) -> None:
    sides = wire.pair(sockets)
    closing, other = sides if by_server else sides[::-1]
    receiving = wire.run(end_of, other)
    closing.close(code, reason)
    assert receiving.result() == (code, reason)
    assert end_of(closing) == (code, reason)
    for side in sides:
        assert f"closed {code}" in repr(side)
        with pytest.raises(ConnectionClosed, match=str(code)):
            side.send("too late")
        with pytest.raises(ConnectionClosed, match=str(code)):
            side.ping(timeout=TIMEOUT)
        side.close(1001)  # has no effect on a closed connection


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1005, ""), (1006, ""), (999, ""), (0, ""), (1004, ""), (2999, ""), (5000, ""), (1000, "x" * 124), (1000, "ü" * 62)],
)
def test_closing_with_an_invalid_code_or_reason_raises_usage_error(wire: Wiring, code: int, reason: str) -> None:
    server, client = wire.pair()
    for close in (server.close, server.begin_close):
        with pytest.raises(UsageError):
            close(code, reason)
    server.send("open")
    assert client.recv(timeout=TIMEOUT) == "open"
    assert "open" in repr(server)


def test_a_close_without_a_code_is_1005(wire: Wiring) -> None:
    server, peer = wire.raw()
    receiving = wire.run(end_of, server)
    peer.send((CLOSE, b""))
    assert peer.rest() == [(CLOSE, b"")]
    peer.close()
    assert receiving.result() == (1005, "")


def test_the_peers_close_code_counts_even_in_its_reply_to_a_close(wire: Wiring) -> None:
    """As `ConnectionClosed` documents: code and reason are the peer's, or ours if the peer sent none."""
    server, peer = wire.raw()
    closing = wire.run(server.close, 1000)
    assert peer.frame() == (CLOSE, b"\x03\xe8")
    peer.send((CLOSE, b"\x0f\xa0mine"))
    peer.close()
    closing.result()
    assert end_of(server) == (4000, "mine")


@pytest.mark.parametrize("is_client", [True, False])
def test_a_lost_connection_ends_with_1006(wire: Wiring, is_client: bool) -> None:
    connection, peer = wire.raw(is_client=is_client)
    peer.send((TEXT, b"last words"))
    peer.close()
    assert received(connection) == ["last words"]
    assert end_of(connection) == (1006, "connection lost")
    with pytest.raises(ConnectionClosed, match="1006"):
        connection.send("x")


def test_a_reset_connection_ends_with_1006(wire: Wiring) -> None:
    connection, peer = wire.raw(tcp_sockets())
    receiving = wire.run(end_of, connection)
    peer.reset()
    assert receiving.result() == (1006, "connection lost")


def test_a_send_to_a_peer_that_is_gone_raises_connection_closed(wire: Wiring) -> None:
    connection, peer = wire.raw()
    peer.close()
    with pytest.raises(ConnectionClosed, match="1006"):
        connection.send("x")
    assert end_of(connection)[0] == 1006


VIOLATIONS = [
    pytest.param(b"\x81\x01x", 1002, id="not masked"),
    pytest.param(b"\x83\x80\0\0\0\0", 1002, id="unknown opcode"),
    pytest.param(stream([(TEXT, b"\xff")], masked=True), 1007, id="not UTF-8"),
    pytest.param(stream([(TEXT | COMPRESSED, b"")], masked=True), 1002, id="compressed without negotiation"),
    pytest.param(b"\x82\xff\0\0\0\0\0\x20\0\0\0\0\0\0", 1009, id="too big"),
    pytest.param(stream([(CLOSE, b"\x03")], masked=True), 1002, id="close of one byte"),
    pytest.param(stream([(TEXT_PART, b"x")] + [(CONTINUATION_PART, b"")] * 20, masked=True), 1008, id="too many fragments"),
]


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
def test_a_protocol_violation_is_answered_with_its_code_after_earlier_messages(wire: Wiring, data: bytes, code: int) -> None:
    server, peer = wire.raw(limits=Limits(max_fragments=16))
    receiving = wire.run(received, server)
    peer.socket.sendall(stream([(TEXT, b"good")], masked=True) + data + stream([(TEXT, b"ignored")], masked=True))
    ((first, payload),) = peer.rest()
    peer.close()
    assert (first, struct.unpack("!H", payload[:2])) == (CLOSE, (code,))
    assert receiving.result() == ["good"]
    assert end_of(server)[0] == code


def test_all_messages_before_a_close_are_received(wire: Wiring) -> None:
    server, peer = wire.raw()
    peer.send((TEXT, b"1"), (TEXT, b"2"), (TEXT, b"3"), (CLOSE, b"\x03\xe8bye"), (TEXT, b"after"))
    peer.socket.close()
    peer.close()
    assert [server.recv(timeout=TIMEOUT) for _ in range(3)] == ["1", "2", "3"]
    assert end_of(server) == (1000, "bye")


def test_a_ping_that_reaches_the_end_of_the_stream_keeps_earlier_messages(wire: Wiring) -> None:
    server, peer = wire.raw()
    peer.send((TEXT, b"1"), (TEXT, b"2"), (CLOSE, b"\x03\xe8"))
    peer.close()
    with pytest.raises(ConnectionClosed):
        server.ping(timeout=TIMEOUT)
    assert received(server) == ["1", "2"]


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("floods", [True, False], ids=["sends on", "is silent"])
def test_a_close_that_is_never_answered_ends_with_the_close_timeout(wire: Wiring, is_client: bool, floods: bool) -> None:
    connection, peer = wire.raw(is_client=is_client, limits=Limits(close_timeout=0.1))
    if floods:
        peer.send(*[(BINARY, b"x" * 1000)] * 50)
    connection.close(1001, "going")
    assert peer.frame()[0] == CLOSE
    assert end_of(connection) == (1001, "going")


def test_a_peer_that_closes_but_never_ends_the_stream_is_disconnected(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(close_timeout=0.1))
    peer.send((CLOSE, b"\x03\xe8"))
    assert end_of(connection) == (1000, "")
    assert peer.rest() == [(CLOSE, b"\x03\xe8")]


def test_a_recv_with_a_timeout_does_not_wait_for_the_end_of_the_stream(wire: Wiring) -> None:
    connection, peer = wire.raw()
    peer.send((CLOSE, b"\x03\xe8"))
    assert peer
    for _ in range(2):
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.01)
    peer.close()
    assert end_of(connection) == (1000, "")


def test_without_a_close_timeout_close_waits_for_the_peer(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(close_timeout=0))
    closing = wire.run(connection.close)
    assert peer.frame()[0] == CLOSE
    peer.send((CLOSE, b""))
    peer.close()
    closing.result(TIMEOUT)


def test_concurrent_closes_return_and_wake_the_receiving_thread(wire: Wiring) -> None:
    server, client = wire.pair()
    receiving = wire.run(received, server)
    eventually(lambda: is_receiving(server))
    wire.run(received, client)
    closers = [wire.run(server.close, 1001) for _ in range(4)]
    for closer in closers:
        closer.result(TIMEOUT)
    assert receiving.result(TIMEOUT) == []


def test_a_busy_handler_receives_no_more_messages_after_a_close(wire: Wiring) -> None:
    server, peer = wire.raw()
    peer.send(*[(TEXT, str(number).encode()) for number in range(100)])
    messages = iter(server)
    assert next(messages) == "0"
    closing = wire.run(server.close)
    peer.frames_until(CLOSE)
    peer.close()
    closing.result(TIMEOUT)
    assert list(messages) == []


def test_iterating_ends_if_another_thread_takes_the_last_message(wire: Wiring) -> None:
    """Another thread empties the queue between the check and `popleft`."""

    class Emptied(deque[str | bytes]):
        def popleft(self) -> str | bytes:
            self.clear()
            raise IndexError

    server, peer = wire.raw()
    server._messages = server._receiver.messages = Emptied(["gone"])
    peer.close()
    assert received(server) == []


def test_a_with_block_closes_with_1000(wire: Wiring) -> None:
    server, client = wire.pair()
    receiving = wire.run(end_of, client)
    with server as entered:
        assert entered is server
    assert receiving.result() == (1000, "")


def test_a_with_block_that_fails_closes_with_1011(wire: Wiring) -> None:
    server, client = wire.pair()
    receiving = wire.run(end_of, client)
    with pytest.raises(KeyError), server:
        raise KeyError("mine")
    assert receiving.result()[0] == 1011


def test_a_closed_connection_is_garbage_collected_at_once(wire: Wiring) -> None:
    """Its timers do not keep it until its next ping would have been due."""
    connections = weakref.WeakSet[Connection]()
    bystanders = wire.pair()
    for connection in wire.pair(limits=Limits(outbox_seconds=0)):
        connections.add(connection)
        wire.run(connection.close)
    eventually(lambda: all(connection._outbox.state is CLOSED for connection in connections))
    wire.forget(*connections)
    del connection
    gc.collect()
    assert len(connections) == 0
    assert len(bystanders) == 2  # they keep the background threads running


# Pings


def test_a_ping_returns_the_time_it_took(wire: Wiring) -> None:
    server, client = wire.pair()
    wire.run(received, client)
    assert server.latency is None
    took = server.ping(timeout=TIMEOUT)
    assert 0 < took < TIMEOUT
    assert server.latency == took


def test_a_ping_without_a_pong_times_out_and_leaves_the_connection_as_it_was(wire: Wiring) -> None:
    server, client = wire.pair()
    with pytest.raises(TimeoutError, match="no pong within"):
        server.ping(timeout=0.01)
    client.send("x")
    assert server.recv(timeout=TIMEOUT) == "x"


def test_pings_of_many_threads_are_answered_while_another_thread_receives(wire: Wiring) -> None:
    server, client = wire.pair()
    echoing = wire.run(received, client)
    receiving = wire.run(received, server)

    def ping(count: int) -> None:
        for _ in range(count):
            server.ping(timeout=TIMEOUT)

    for pinging in [wire.run(ping, 100) for _ in range(8)]:
        pinging.result()
    client.begin_close()
    assert receiving.result(TIMEOUT) == echoing.result(TIMEOUT) == []


def test_pings_of_many_threads_are_answered_while_no_thread_receives(wire: Wiring) -> None:
    server, client = wire.pair()
    wire.run(received, client)
    for pinging in [wire.run(server.ping, TIMEOUT) for _ in range(8)]:
        pinging.result()


def test_messages_that_arrive_before_a_pong_are_kept(wire: Wiring) -> None:
    server, peer = wire.raw()
    pinging = wire.run(server.ping, TIMEOUT)
    first, payload = peer.frame()
    assert first == PING
    peer.send((TEXT, b"1"), (TEXT, b"2"), (PONG, b"unasked for"), (PONG, payload))
    assert pinging.result() > 0
    assert [server.recv(timeout=TIMEOUT) for _ in range(2)] == ["1", "2"]


def test_the_peers_pings_are_answered_while_no_thread_receives(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0.05))
    peer.send((PING, b"are you there?"))
    assert peer.frames_until(PONG)[-1] == (PONG, b"are you there?")
    assert connection


def test_a_handler_that_only_sends_stays_alive_and_notices_the_close(wire: Wiring) -> None:
    limits = Limits(ping_interval=0.05, ping_timeout=0.5)
    server, client = wire.pair(limits=limits, client_limits=limits)

    def send() -> None:
        for _ in range(1_000_000):
            server.send("tick")
            threading.Event().wait(0.005)

    sending = wire.run(send)
    for _ in range(200):  # takes longer than a second
        assert client.recv(timeout=TIMEOUT) == "tick"
    client.begin_close(4001, "enough")
    closing = wire.run(client.close)
    error = sending.exception(TIMEOUT)
    assert isinstance(error, ConnectionClosed)
    assert (error.code, error.reason) == (4001, "enough")
    server.close()
    closing.result(TIMEOUT)


def test_a_peer_that_vanished_is_closed_with_1011_after_the_ping_timeout(wire: Wiring) -> None:
    limits = Limits(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05)
    connection, peer = wire.raw(limits=limits)
    assert end_of(connection) == (1011, "ping timeout")
    assert [first for first, _ in peer.rest()] == [PING, CLOSE]


def test_a_message_counts_as_a_sign_of_life_like_a_pong(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0.05, ping_timeout=5))
    receiving = wire.run(received, connection)
    for _ in range(5):
        assert peer.frame()[0] == PING
        peer.send((TEXT, b"busy"))
    peer.close()
    assert receiving.result() == ["busy"] * 5


def test_a_peer_whose_messages_are_not_received_does_not_count_as_gone(wire: Wiring) -> None:
    limits = Limits(ping_interval=0.05, ping_timeout=0.05, max_message_bytes=100)
    connection, peer = wire.raw(limits=limits)
    peer.send(*[(TEXT, b"x" * 100)] * 10)
    # No more than the limit of one message is read ahead, so this one stays in the kernel.
    eventually(lambda: len(connection._messages))
    peer.send((TEXT, b"last"))
    assert peer.frame()[0] == PING
    eventually(connection._pings.is_peer_gone)
    assert [connection.recv(timeout=TIMEOUT) for _ in range(11)] == ["x" * 100] * 10 + ["last"]


def test_a_protocol_violation_is_answered_while_no_thread_receives(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0.05))
    peer.socket.sendall(b"\x83\x80\0\0\0\0")
    assert peer.frames_until(CLOSE)[-1][1][:2] == b"\x03\xea"
    with pytest.raises(ConnectionClosed, match="1002"):
        connection.send("x")


def test_a_lost_connection_is_noticed_while_no_thread_receives(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0.05))
    peer.socket.shutdown(1)
    assert [frame for frame in peer.rest() if frame[0] != PING] == []
    with pytest.raises(ConnectionClosed, match="1006"):
        connection.send("x")


# Messages that arrive with one read


def test_replies_to_a_batch_arrive_in_order(wire: Wiring) -> None:
    server, peer = wire.raw()
    payloads = [str(number).encode() * (1 + number % 40) for number in range(1000)]

    def echo() -> None:
        for message in server:
            server.send(message)

    echoing = wire.run(echo)
    sending = wire.run(peer.send, *[(TEXT, payload) for payload in payloads])
    assert [peer.frame() for _ in payloads] == [(TEXT, payload) for payload in payloads]
    sending.result()
    peer.close()
    echoing.result()


def test_all_waiting_threads_learn_of_the_end(wire: Wiring) -> None:
    """`recv`, `ping` and iteration return or raise in every thread."""
    for _ in range(30):
        server, peer = wire.raw()
        waiting: list[Future[object]] = []
        waiting += [wire.run(server.recv), wire.run(server.ping), wire.run(received, server), wire.run(server.recv, TIMEOUT)]
        eventually(partial(is_receiving, server))
        peer.close()
        for task in waiting:
            task.exception(TIMEOUT)


def test_the_repr_of_a_connection_omits_the_query(wire: Wiring) -> None:
    server, _ = wire.raw()
    server.path = "/rooms/tea?token=secret"
    assert "/rooms/tea open" in repr(server)
    assert "secret" not in repr(server)
