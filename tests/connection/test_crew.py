"""The shared threads are there as long as connections are."""

from __future__ import annotations

import threading

from tests.connection.wiring import PATIENCE, Wiring, narrow_sockets
from tests.protocol.wire import TEXT
from wschat.connection.crew import join_crew, leave_crew
from wschat.limits import Limits

CREW = {"wschat-writer", "wschat-deadlines"}


def crew_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name in CREW)


def test_connections_share_two_threads_which_end_with_the_last(wire: Wiring) -> None:
    assert crew_threads() == []
    pairs = [wire.raw(narrow_sockets()) for _ in range(3)]
    for connection, _ in pairs:
        connection.send("x" * 50_000)
    assert crew_threads() == sorted(CREW)
    for connection, peer in pairs:
        assert crew_threads() == sorted(CREW)
        peer.close()
        connection.close()
    assert crew_threads() == []


def test_the_threads_run_before_a_connection_needs_them(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0, close_timeout=0))
    assert crew_threads() == sorted(CREW)
    peer.close()
    connection.close()


def test_connections_opened_after_the_last_was_closed_have_new_threads(wire: Wiring) -> None:
    for _ in range(5):
        connection, peer = wire.raw(narrow_sockets())
        sending = wire.run(connection.send, "y" * 50_000)
        assert peer.frame() == (TEXT, b"y" * 50_000)
        sending.result(PATIENCE)
        peer.close()
        connection.close()
        assert crew_threads() == []


def test_a_crew_is_the_same_for_all_until_the_last_has_left(wire: Wiring) -> None:
    first = join_crew()
    assert join_crew() is first
    leave_crew(first)
    assert join_crew() is first
    leave_crew(first)
    leave_crew(first)
    second = join_crew()
    assert second is not first
    leave_crew(second)


def test_connections_come_and_go_in_many_threads(wire: Wiring) -> None:
    def come_and_go() -> None:
        for _ in range(30):
            connection, peer = wire.raw(narrow_sockets())
            connection.send("z" * 20_000)
            peer.frame()
            peer.close()
            connection.close()

    for task in [wire.run(come_and_go) for _ in range(8)]:
        task.result()
    assert crew_threads() == []
