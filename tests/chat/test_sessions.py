"""Sessions: what is sent to one client."""

from __future__ import annotations

import gc
import sys

import pytest

import wschat
from tests.connection.wiring import Wiring, end_of, received
from wschat import Limits
from wschat.chat.dialects.v1 import V1
from wschat.chat.sessions import Identity, Session
from wschat.connection.connection import Connection


@pytest.mark.gil
def test_a_del_that_runs_during_an_offer_can_close_the_connection(wire: Wiring) -> None:
    """A garbage collection may run at any allocation of an offer, in either build."""
    has_interrupted: list[bool] = []

    class Closing:
        def __init__(self, connection: Connection) -> None:
            self.connection = connection
            self.itself = self  # only a collection finds it

        def __del__(self) -> None:
            has_interrupted.append(self.connection._outbox.lock.locked())
            self.connection.close()

    before = gc.get_threshold()
    for allocations in range(20):  # before the collection
        connection, peer = wire.pair(limits=Limits(close_timeout=0.1))
        session = Session(connection, V1(), Identity("alice"))
        while not connection.waiting_bytes:
            session.offer("x" * 200)  # the peer does not read: from now on, an offer allocates objects for the collector
        gc.disable()
        Closing(connection)
        gc.set_threshold(max(1, gc.get_count()[0] + allocations))
        gc.enable()
        try:
            session.offer("x" * 200)
        finally:
            gc.set_threshold(*before)
        gc.collect()
        assert set(received(peer)) <= {"x" * 200}
        assert end_of(connection) == (1000, "")
    # From Python 3.12 on, a collection runs between two instructions of the interpreter only, and a compiled offer has none.
    assert any(has_interrupted) or (wschat.IS_COMPILED and sys.version_info >= (3, 12))
