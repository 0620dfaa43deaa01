"""The states of a connection, and the close code of closes that happen at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import Wiring, received
from wschat import Connection, Limits
from wschat.connection.outbox import Outbox
from wschat.connection.state import CLOSED, CLOSING, LOST, OPEN, State
from wschat.counters import Eviction

CLOSE = 0x88
CODES = range(4001, 4009)


def begin_close_at_once(wire: Wiring, connection: Connection) -> None:
    """Close from several threads at once, each with a code of its own."""
    barrier = threading.Barrier(len(CODES))

    def close(code: int) -> None:
        barrier.wait(TIMEOUT)
        connection.begin_close(code, f"because of {code}")

    for closing in [wire.run(close, code) for code in CODES]:
        closing.result(TIMEOUT)


def test_the_states_are_in_order() -> None:
    assert list(State) == [OPEN, CLOSING, CLOSED] == sorted(State)


@pytest.mark.parametrize("is_client", [False, True], ids=["server", "client"])
def test_concurrent_closes_report_the_code_on_the_wire(wire: Wiring, is_client: bool) -> None:
    for _ in range(50):
        connection, peer = wire.raw(is_client=is_client, limits=Limits(ping_interval=0))
        begin_close_at_once(wire, connection)
        first, payload = peer.frame()
        assert first == CLOSE
        sent = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
        assert sent[0] in CODES
        assert connection.closed is not None
        assert (connection.closed.code, connection.closed.reason) == sent
        peer.close()
        assert received(connection) == []
        assert (connection.closed.code, connection.closed.reason) == sent
        wire.forget(connection)


def test_both_sides_agree_on_the_code_of_concurrent_closes(wire: Wiring) -> None:
    for _ in range(20):
        server, client = wire.pair(limits=Limits(ping_interval=0))
        receiving = wire.run(received, client)
        begin_close_at_once(wire, server)
        assert received(server) == receiving.result(TIMEOUT) == []
        assert server.closed is not None
        assert client.closed is not None
        assert (server.closed.code, server.closed.reason) == (client.closed.code, client.closed.reason)
        wire.forget(server, client)


def test_the_states_of_a_connection_that_is_closed(wire: Wiring) -> None:
    connection, peer = wire.raw()
    assert connection._outbox.state is OPEN
    connection.begin_close()
    assert connection._outbox.state is CLOSING
    peer.close()
    assert received(connection) == []
    assert connection._outbox.state is CLOSED


def test_a_second_close_changes_neither_the_state_nor_the_code(wire: Wiring) -> None:
    connection, peer = wire.raw()
    connection.begin_close(4001, "first")
    peer.close()
    assert received(connection) == []
    connection._outbox.abort()
    connection.begin_close(4002, "second")
    assert connection._outbox.state is CLOSED
    assert connection._outbox.close_status == (4001, "first")


def test_a_lost_connection_is_closing_until_the_stream_is_read_to_its_end(wire: Wiring) -> None:
    """The peer's close frame may still be among the bytes not read yet."""
    connection, peer = wire.raw(limits=Limits(ping_interval=0))
    peer.close()
    connection.offer(b"\x81\x01x")
    eventually(lambda: connection._outbox.state is CLOSING)
    assert connection.closed is None
    assert received(connection) == []
    assert connection._outbox.close_status == LOST


@pytest.mark.parametrize("change", [lambda outbox: outbox._advance(CLOSING, LOST), lambda outbox: outbox._evict(Eviction.TOO_OLD)])
def test_the_state_changes_only_with_the_lock_held(wire: Wiring, change: Callable[[Outbox], None]) -> None:
    connection, _ = wire.raw()
    with pytest.raises(AssertionError):
        change(connection._outbox)
    assert connection._outbox.state is OPEN
