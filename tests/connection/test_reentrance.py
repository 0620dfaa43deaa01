"""Reentrance: the modules that hold locks. Signal handlers and `__del__` themselves are in `test_endings`."""

from __future__ import annotations

import gc
from importlib import import_module

import pytest

from tests.concurrency import TIMEOUT
from tests.connection.wiring import Wiring
from wschat.connection import reentrance
from wschat.connection.connection import Connection
from wschat.connection.reentrance import is_reentrant
from wschat.errors import ConnectionClosed


@pytest.mark.parametrize("name", sorted(reentrance.MODULES))
def test_each_named_module_exists(name: str) -> None:
    assert import_module(name).__name__ == name


def test_an_ordinary_call_is_not_reentrant() -> None:
    assert not is_reentrant()


def test_a_call_from_within_a_module_that_holds_locks_is_reentrant() -> None:
    namespace = {"__name__": "wschat.connection.outbox", "interrupted_by": is_reentrant_in_another_module}
    exec("def hold_a_lock(): return interrupted_by()", namespace)
    assert namespace["hold_a_lock"]()  # type: ignore[operator]


def test_a_call_that_has_interrupted_the_sending_of_a_fragment_is_reentrant() -> None:
    """Compiled functions that wait have no frames: only those of `threading` are seen above the caller."""
    threading_frame: dict[str, object] = {"__name__": "threading", "interrupted_by": is_reentrant_in_another_module}
    exec("def wait(): return interrupted_by()", threading_frame)
    fragments: dict[str, object] = {"__name__": "wschat.connection.fragments", "call": threading_frame["wait"]}
    exec("def send(): return call()", fragments)
    assert fragments["send"]()  # type: ignore[operator]
    fragments["call"] = is_reentrant_in_another_module  # an iterable of the caller
    assert not fragments["send"]()  # type: ignore[operator]


def is_reentrant_in_another_module() -> bool:
    return is_reentrant()


@pytest.mark.gil
def test_a_del_that_runs_during_a_send_can_close_the_connection(wire: Wiring) -> None:
    """A garbage collection may run at any allocation of a send, in either build."""

    class Closing:
        def __init__(self, connection: Connection) -> None:
            self.connection = connection
            self.itself = self  # only a collection finds it

        def __del__(self) -> None:
            self.connection.close()

    def send_until_closed(connection: Connection) -> None:
        Closing(connection)
        thresholds = gc.get_threshold()
        gc.set_threshold(1)
        try:
            while True:
                connection.send(["a", "b"])
                connection.send("x" * 200)
        finally:
            gc.set_threshold(*thresholds)

    connection, peer = wire.pair()
    received = wire.run(lambda: list(peer))
    with pytest.raises(ConnectionClosed, match="1000"):
        send_until_closed(connection)
    assert set(received.result(TIMEOUT)) <= {"ab", "x" * 200}
