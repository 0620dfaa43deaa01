"""The effect of each fault on a client and a server with real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import Queue
from random import Random
from time import monotonic
from typing import Any

import pytest

from tests.concurrency import TIMEOUT, eventually
from wschat.errors import ConnectionClosed, UsageError
from wschat.limits import Limits
from wschat.protocol.frames import Opcode, encode_close, encode_frame
from wschat.testing.connections import Connections
from wschat.testing.faults import Faults
from wschat.testing.proxy import FaultProxy
from wschat.testing.servers import Servers


class Wire:
    """A client and a server as plain sockets, with a proxy between them."""

    def __init__(self, seed: str = "seed") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.proxy = FaultProxy(self._listener.getsockname(), seed)
        self.faults = Faults(self.proxy)
        self._sockets: list[socket.socket] = []

    def client(self) -> socket.socket:
        """Connect a client. Its connection need not have been forwarded yet."""
        return self._keep(socket.create_connection(("127.0.0.1", self.proxy.port), TIMEOUT))

    def server(self) -> socket.socket:
        """Accept the next connection at the server."""
        return self._keep(self._listener.accept()[0])

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return self.client(), self.server()

    def _keep(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(TIMEOUT)
        self._sockets.append(sock)
        return sock

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self.proxy.close()
        self._listener.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with closing(Wire()) as wire:
        yield wire


def everything(sock: socket.socket) -> bytes:
    """Return all bytes up to the end of the stream."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def exactly(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = sock.recv(size - len(received))
        assert data
        received += data
    return received


def is_quiet(sock: socket.socket) -> bool:
    """Return True if nothing arrives within 50 ms, which is far more than a proxy needs."""
    sock.settimeout(0.05)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(TIMEOUT)
    return False


def test_without_faults_all_bytes_are_forwarded(wire: Wire) -> None:
    client, server = wire.pair()
    data = bytes(range(256)) * 40_000

    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    assert everything(server) == data
    sender.join()
    server.sendall(b"answer")
    server.close()
    assert everything(client) == b"answer"


def test_a_receiver_that_does_not_read_stops_the_sender(wire: Wire) -> None:
    client, server = wire.pair()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(100 << 20))
    assert exactly(server, 1 << 20) == bytes(1 << 20)


def test_a_reset_of_one_end_resets_the_other(wire: Wire) -> None:
    client, server = wire.pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    assert "reset by an end" in wire.proxy.transcripts()[0]


def test_a_cut_ends_both_directions(wire: Wire) -> None:
    client, server = wire.pair()
    client.sendall(b"before")
    assert exactly(server, 6) == b"before"
    wire.faults.cut()
    client.sendall(b"after")
    assert everything(server) == everything(client) == b""
    assert " cut" in wire.proxy.transcripts()[0]


def test_a_cut_by_a_reset(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.cut(reset=True)
    for sock in client, server:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_after_some_bytes(wire: Wire, reset: bool) -> None:
    client, server = wire.pair()
    client.sendall(b"12")
    assert exactly(server, 2) == b"12"
    wire.faults.cut(after_bytes=3, reset=reset, way="to_server")
    server.sendall(b"the other direction does not count")
    assert exactly(client, 34).startswith(b"the other direction")
    client.sendall(b"3")
    client.sendall(b"4567")
    assert exactly(server, 3) == b"345"
    if reset:
        with pytest.raises(ConnectionResetError):
            everything(server)
    else:
        assert everything(server) == b""


def test_a_rule_applies_to_later_connections_until_it_is_cleared(wire: Wire) -> None:
    wire.faults.cut(after_bytes=1, way="to_server")
    for _ in range(2):
        client, server = wire.pair()
        client.sendall(b"ab")
        assert everything(server) == b"a"
    wire.faults.clear()
    client, server = wire.pair()
    client.sendall(b"ab")
    assert exactly(server, 2) == b"ab"


def test_a_fault_of_one_connection_does_not_affect_the_others(wire: Wire) -> None:
    first, second = wire.pair(), wire.pair()
    connection = wire.faults.connections[0]
    connection.cut()
    assert everything(first[0]) == b""
    second[0].sendall(b"still there")
    assert exactly(second[1], 11) == b"still there"
    assert repr(connection) == "<the faults of connection 1>"


def test_silence_holds_back_all_bytes_and_the_end_of_the_stream(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.silence("to_server")
    client.sendall(b"held back")
    client.shutdown(socket.SHUT_WR)
    server.sendall(b"answer")
    assert exactly(client, 6) == b"answer"
    assert is_quiet(server)
    wire.faults.clear()
    assert everything(server) == b"held back"


def test_delayed_bytes_are_late_and_in_order(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.delay(0.1, "to_server")
    began = monotonic()
    client.sendall(b"1")
    client.sendall(b"2")
    client.close()
    assert everything(server) == b"12"
    assert 0.1 <= monotonic() - began < TIMEOUT


def test_clearing_a_delay_forwards_the_delayed_bytes(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.delay(1000.0)
    client.sendall(b"1")
    assert is_quiet(server)
    wire.faults.clear()
    assert exactly(server, 1) == b"1"


def test_a_bit_is_flipped_in_one_byte(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.corrupt(after_bytes=5, way="to_server")
    client.sendall(bytes(4))
    client.sendall(bytes(4))
    received = exactly(server, 8)
    assert [index for index, byte in enumerate(received) if byte] == [5]
    assert received[5].bit_count() == 1
    assert f"flipped bit {received[5]:#04x} of byte 5 to the server" in wire.proxy.transcripts()[0]


def corrupted(seed: str) -> bytes:
    with closing(Wire(seed)) as wire:
        client, server = wire.pair()
        wire.faults.corrupt()
        client.sendall(bytes(64))
        return exactly(server, 64)


def test_the_seed_determines_the_random_choices() -> None:
    assert corrupted("1") == corrupted("1")
    assert len({corrupted(str(seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("size", [1, (1, 3)])
def test_split_bytes_arrive_whole(wire: Wire, size: Any) -> None:
    client, server = wire.pair()
    wire.faults.split(size)
    client.sendall(b"one by one")
    first = server.recv(65536)
    assert first + exactly(server, 10 - len(first)) == b"one by one"


def test_split_bytes_are_segments_of_their_own(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.split(1)
    wire.faults.delay(0.02)
    for character in b"ab":
        client.sendall(bytes((character, character)))
    assert {len(server.recv(1)) for _ in range(4)} == {1}


def test_bytes_that_are_split_delayed_and_held_back_arrive_whole_and_in_order(wire: Wire) -> None:
    data = Random("data").randbytes(30_000)

    def send(sock: socket.socket) -> None:
        for at in range(0, len(data), 1000):
            sock.sendall(data[at : at + 1000])
        sock.shutdown(socket.SHUT_WR)

    ends = wire.pair()
    wire.faults.split((1, 300))
    wire.faults.delay((0, 0.01))
    with ThreadPoolExecutor(4) as pool:
        received = [pool.submit(everything, sock) for sock in ends]
        sent = [pool.submit(send, sock) for sock in ends]
        while not all(future.done() for future in sent):
            wire.faults.silence()
            wire.faults.split((1, 300))
            wire.faults.clear()
        assert [future.result(TIMEOUT) for future in received] == [data, data]


def test_a_half_close_leaves_the_other_direction_open(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.half_close("to_server")
    assert everything(server) == b""
    client.sendall(b"dropped")
    server.sendall(b"still forwarded")
    assert exactly(client, 15) == b"still forwarded"


def test_a_close_frame_is_dropped_with_all_later_frames(wire: Wire) -> None:
    client, server = wire.pair()
    wire.faults.ignore_close("to_client")
    head, text = b"HTTP/1.1 101 Switching Protocols\r\n\r\n", encode_frame(Opcode.TEXT, b"\x88\x00")
    server.sendall(head + text + encode_frame(Opcode.CLOSE, encode_close(1000, "")))
    server.close()
    assert exactly(client, len(head + text)) == head + text
    assert is_quiet(client)
    assert "dropped a close frame to the client" in wire.proxy.transcripts()[0]


def test_connections_are_refused_and_accepted_again_on_the_same_port(wire: Wire) -> None:
    before, server = wire.pair()
    wire.faults.refuse()
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            wire.client()
    before.sendall(b"open before")
    assert exactly(server, 11) == b"open before"
    wire.faults.clear()
    client, server = wire.pair()
    client.sendall(b"hello")
    assert exactly(server, 5) == b"hello"


def test_an_opening_that_is_never_forwarded(wire: Wire) -> None:
    wire.faults.delay_opening()
    client = wire.client()
    client.sendall(b"request")
    assert is_quiet(client)
    wire.faults.clear()
    assert exactly(wire.server(), 7) == b"request"


def test_an_opening_that_is_delayed(wire: Wire) -> None:
    wire.faults.delay_opening(0.1)
    began = monotonic()
    wire.pair()
    assert 0.1 <= monotonic() - began < TIMEOUT


def test_a_connection_is_cut_before_it_is_forwarded(wire: Wire) -> None:
    wire.faults.delay_opening(0.1)
    client = wire.client()
    eventually(lambda: wire.faults.connections)
    wire.faults.cut()
    assert everything(client) == b""
    wire.faults.clear()
    wire.pair()
    assert len(wire.faults.connections) == 1


def test_a_connection_that_was_cut_is_not_open(wire: Wire) -> None:
    wire.pair()
    wire.faults.cut()
    assert wire.faults.connections == []
    with pytest.raises(UsageError, match="no connection is open"):
        wire.faults.cut()


def test_the_proxy_resets_clients_if_the_server_is_gone(wire: Wire) -> None:
    wire._listener.close()
    with pytest.raises(ConnectionResetError):
        wire.client().recv(1)
    assert "reset because an end has gone" in wire.proxy.transcripts()[0]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda faults: faults.cut(), "no connection is open that could be cut"),
        (lambda faults: faults.half_close("to_client"), "no connection is open that could be cut"),
        (lambda faults: faults.half_close("both"), "give to_server or to_client, or call cut"),
        (lambda faults: faults.half_close("up"), "way must be to_server, to_client or both, not 'up'"),
        (lambda faults: faults.silence("up"), "way must be to_server, to_client or both, not 'up'"),
        (lambda faults: faults.cut(after_bytes=-1), "after_bytes must be an integer from 0, or a range"),
        (lambda faults: faults.split(0), "size must be an integer from 1, or a range"),
        (lambda faults: faults.split((3, 2)), r"size must be an integer from 1, or a range \(LOW, HIGH\), not \(3, 2\)"),
        (lambda faults: faults.corrupt(0.5), "after_bytes must be an integer from 0, or a range"),
        (lambda faults: faults.corrupt((1, 2, 3)), "after_bytes must be an integer from 0, or a range"),
        (lambda faults: faults.delay_opening(-1), "seconds must be a number from 0, or a range"),
        (lambda faults: faults.delay("long"), "seconds must be a number from 0, or a range"),
    ],
)
def test_an_invalid_fault_is_refused(wire: Wire, fault: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fault(wire.faults)


def test_no_fault_can_be_injected_after_the_end(wire: Wire) -> None:
    wire.pair()
    wire.faults.silence()
    connection = wire.faults.connections[0]
    wire.proxy.close()
    wire.proxy.close()
    for fault in (wire.faults.clear, connection.clear, wire.faults.refuse):
        with pytest.raises(UsageError, match="has been stopped"):
            fault()
    assert len(wire.proxy.transcripts()) == 1
    assert repr(wire.faults) == f"<the faults of port {wire.proxy.port}>"


# The effect on WebSockets


def echo(ws: Any) -> None:
    for message in ws:
        ws.send(message)


def test_a_server_and_a_client_notice_a_cut(wschat_server: Servers, ws_connect: Connections) -> None:
    ends: Queue[Any] = Queue()

    def handle(ws: Any) -> None:
        echo(ws)
        ends.put(ws.closed.code)

    server = wschat_server(handle)
    ws = ws_connect()
    ws.send("hello")
    assert ws.recv() == "hello"
    server.faults.cut()
    with pytest.raises(ConnectionClosed) as caught:
        ws.recv()
    assert (caught.value.code, ends.get(timeout=TIMEOUT)) == (1006, 1006)


def test_messages_one_byte_at_a_time(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(echo).faults.split()
    ws = ws_connect()
    ws.send("x" * 1000)
    assert ws.recv() == "x" * 1000


def test_a_close_of_the_client_that_is_not_answered(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(echo).faults.ignore_close("to_client")
    ws = ws_connect(limits=Limits(close_timeout=0.1))
    ws.close(4000)
    assert "received close" not in str(ws.transcript)


def test_a_close_of_the_server_that_is_not_answered(wschat_server: Servers, ws_connect: Connections) -> None:
    durations: Queue[float] = Queue()

    def handle(ws: Any) -> None:
        began = monotonic()
        ws.close(4000)
        durations.put(monotonic() - began)

    wschat_server(handle, limits=Limits(close_timeout=0.1)).faults.ignore_close("to_server")
    assert list(ws_connect()) == []
    assert 0.1 <= durations.get(timeout=TIMEOUT) < TIMEOUT


def test_the_keepalive_of_a_client_notices_a_silent_server(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(echo)
    ws = ws_connect(limits=Limits(ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1))
    server.faults.silence()
    with pytest.raises(ConnectionClosed, match="1011 ping timeout"):
        ws.recv()


def test_a_corrupt_message(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server(echo)
    ws = ws_connect()
    server.faults.corrupt(after_bytes=2, way="to_client")
    ws.send("x" * 10)
    try:
        received = ws.recv()
    except ConnectionClosed as closed:
        assert closed.code == 1007  # noqa: PT017  # it depends on the bit
    else:
        assert received[0] != "x"
        assert received[1:] == "x" * 9
