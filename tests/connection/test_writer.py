"""The writer thread by itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.connection.wiring import PATIENCE
from wschat.connection.cork import Cork
from wschat.connection.writer import Writer


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    writer.start()
    yield writer
    writer.stop()


class Tank:
    """Something to drain, in as many steps as are given."""

    def __init__(self, steps: int) -> None:
        self.sock, self.other = socket.socketpair()
        self.steps = steps
        self.is_empty = threading.Event()

    def fileno(self) -> int:
        return self.sock.fileno()

    def drain(self) -> bool:
        self.steps -= 1
        if self.steps <= 0:
            self.is_empty.set()
        return self.steps > 0

    def close(self) -> None:
        self.sock.close()
        self.other.close()


class Flushed:
    """Something to flush that may fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.is_flushed = threading.Event()

    def flush(self) -> None:
        if self.failures:
            self.failures -= 1
            raise KeyError("mine")
        self.is_flushed.set()


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_what_is_watched_is_drained_until_nothing_is_left(writer: Writer, steps: int) -> None:
    tanks = [Tank(steps) for _ in range(5)]
    for tank in tanks:
        writer.watch(tank)
    assert all(tank.is_empty.wait(PATIENCE) for tank in tanks)
    writer.stop()
    assert [tank.steps for tank in tanks] == [0] * 5
    for tank in tanks:
        tank.close()


def test_what_was_forgotten_is_drained_no_more_and_its_descriptor_serves_another(writer: Writer) -> None:
    tank = Tank(1_000_000_000)
    writer.watch(tank)
    fileno = tank.fileno()
    writer.unwatch(fileno)
    tank.close()
    writer.unwatch(fileno)  # twice does no harm
    successor = Tank(3)
    assert successor.fileno() == fileno
    writer.watch(successor)
    assert successor.is_empty.wait(PATIENCE)
    successor.close()


def test_what_is_closed_before_its_turn_comes_is_passed_over(writer: Writer) -> None:
    tank, next_one = Tank(1), Tank(1)
    tank.close()
    writer.watch(tank)
    writer.watch(next_one)
    assert next_one.is_empty.wait(PATIENCE)
    assert tank.steps == 1
    next_one.close()


def test_what_is_closed_while_it_is_drained_harms_no_other(writer: Writer) -> None:
    class Closing(Tank):
        def drain(self) -> bool:
            self.close()
            return True

    next_one = Tank(3)
    writer.watch(Closing(1))
    writer.watch(next_one)
    assert next_one.is_empty.wait(PATIENCE)
    next_one.close()


def test_it_ends_turns_and_takes_over_flushing(writer: Writer) -> None:
    flushed, other = Flushed(), Flushed()
    cork = Cork(writer, ["unfinished"])
    for _ in range(3):
        flushed.is_flushed.clear()
        assert cork.add(flushed)
        assert flushed.is_flushed.wait(PATIENCE)
    writer.flush_soon(other)
    assert other.is_flushed.wait(PATIENCE)


def test_a_turn_that_ended_by_itself_is_left_alone(writer: Writer) -> None:
    first, second = Flushed(), Flushed()
    cork, later = Cork(writer, ()), Cork(writer, ())
    assert cork.add(first)
    cork.release()
    first.is_flushed.clear()
    assert later.add(second)
    assert second.is_flushed.wait(PATIENCE)
    assert not first.is_flushed.is_set()


def test_what_fails_is_logged_and_the_others_go_on(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    flushed = Flushed()
    writer.flush_soon(Flushed(failures=1))
    writer.flush_soon(flushed)
    assert flushed.is_flushed.wait(PATIENCE)
    assert [record.message for record in caplog.records] == ["the writer failed"]


def test_it_is_woken_however_often(writer: Writer) -> None:
    """More wake-ups than a socket takes."""
    is_busy, may_go_on = threading.Event(), threading.Event()

    class Slow(Flushed):
        def flush(self) -> None:
            is_busy.set()
            assert may_go_on.wait(PATIENCE)

    writer.flush_soon(Slow())
    assert is_busy.wait(PATIENCE)
    flushed = Flushed()
    for _ in range(5000):
        writer.flush_soon(flushed)
    may_go_on.set()
    assert flushed.is_flushed.wait(PATIENCE)


def test_stop_ends_the_thread() -> None:
    writer = Writer()
    writer.stop()  # before there is one
    writer.start()  # which comes too late
    writer.flush_soon(Flushed())
    writer = Writer()
    writer.start()
    writer.start()  # twice does no harm
    flushed = Flushed()
    writer.flush_soon(flushed)
    writer.stop()
    assert flushed.is_flushed.is_set()
    writer.stop()
    assert not any(thread.name == "wschat-writer" for thread in threading.enumerate())


def test_stop_may_be_called_by_what_it_flushes() -> None:
    writer = Writer()
    writer.start()

    class Stopping(Flushed):
        def flush(self) -> None:
            writer.stop()
            super().flush()

    flushed = Stopping()
    writer.flush_soon(flushed)
    assert flushed.is_flushed.wait(PATIENCE)
