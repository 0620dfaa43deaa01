"""Sessions: what is sent to one client."""

from __future__ import annotations

import gc

import pytest

from tests.connection.wiring import Wiring, end_of, received
from wschat import Limits
from wschat.chat.dialects.v1 import V1
from wschat.chat.sessions import Identity, Session


@pytest.mark.gil
def test_a_del_that_runs_during_an_offer_can_close_the_connection(wire: Wiring) -> None:
    """A garbage collection may run at any allocation of an offer, in either build."""
    connection, peer = wire.pair(limits=Limits(close_timeout=0.1))
    session = Session(connection, V1(), Identity("alice"))

    class Closing:
        def __init__(self) -> None:
            self.itself = self  # only a collection finds it

        def __del__(self) -> None:
            connection.close()

    while not connection.waiting_bytes:
        session.offer("x" * 200)  # the peer does not read: from now on, an offer allocates objects for the collector
    thresholds = gc.get_threshold()
    gc.disable()
    Closing()
    gc.set_threshold(1)
    gc.enable()
    try:
        session.offer("x" * 200)
    finally:
        gc.set_threshold(*thresholds)
    assert set(received(peer)) <= {"x" * 200}
    assert end_of(connection) == (1000, "")
