"""The writer thread by itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.concurrency import TIMEOUT
from wschat.connection.cork import Cork
from wschat.connection.writer import Writer


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    writer.start()
    yield writer
    writer.stop()


class FakeOutbox:
    """An outbox that is empty after the given number of drains."""

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
    """A flushable whose first `failures` flushes fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.is_flushed = threading.Event()

    def flush(self) -> None:
        if self.failures:
            self.failures -= 1
            raise KeyError("mine")
        self.is_flushed.set()


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_watched_outbox_is_drained_until_it_is_empty(writer: Writer, steps: int) -> None:
    outboxes = [FakeOutbox(steps) for _ in range(5)]
    for outbox in outboxes:
        writer.watch(outbox)
    assert all(outbox.is_empty.wait(TIMEOUT) for outbox in outboxes)
    writer.stop()
    assert [outbox.steps for outbox in outboxes] == [0] * 5
    for outbox in outboxes:
        outbox.close()


def test_an_unwatched_outbox_is_not_drained_and_its_descriptor_can_be_reused(writer: Writer) -> None:
    outbox = FakeOutbox(1_000_000_000)
    writer.watch(outbox)
    fileno = outbox.fileno()
    writer.unwatch(fileno)
    outbox.close()
    writer.unwatch(fileno)  # a second call has no effect
    successor = FakeOutbox(3)
    assert successor.fileno() == fileno
    writer.watch(successor)
    assert successor.is_empty.wait(TIMEOUT)
    successor.close()


def test_an_outbox_closed_before_its_turn_is_skipped(writer: Writer) -> None:
    outbox, next_one = FakeOutbox(1), FakeOutbox(1)
    outbox.close()
    writer.watch(outbox)
    writer.watch(next_one)
    assert next_one.is_empty.wait(TIMEOUT)
    assert outbox.steps == 1
    next_one.close()


def test_an_outbox_closed_while_it_is_drained_does_not_affect_others(writer: Writer) -> None:
    class Closing(FakeOutbox):
        def drain(self) -> bool:
            self.close()
            return True

    next_one = FakeOutbox(3)
    writer.watch(Closing(1))
    writer.watch(next_one)
    assert next_one.is_empty.wait(TIMEOUT)
    next_one.close()


def test_the_writer_releases_corks_and_takes_over_flushes(writer: Writer) -> None:
    flushed, other = Flushed(), Flushed()
    cork = Cork(writer, ["unfinished"])
    for _ in range(3):
        flushed.is_flushed.clear()
        assert cork.add(flushed)
        assert flushed.is_flushed.wait(TIMEOUT)
    writer.flush_soon(other)
    assert other.is_flushed.wait(TIMEOUT)


def test_a_cork_released_by_its_thread_is_not_released_again(writer: Writer) -> None:
    first, second = Flushed(), Flushed()
    cork, later = Cork(writer, ()), Cork(writer, ())
    assert cork.add(first)
    cork.release()
    first.is_flushed.clear()
    assert later.add(second)
    assert second.is_flushed.wait(TIMEOUT)
    assert not first.is_flushed.is_set()


def test_a_failing_flush_is_logged_and_the_others_go_on(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    flushed = Flushed()
    writer.flush_soon(Flushed(failures=1))
    writer.flush_soon(flushed)
    assert flushed.is_flushed.wait(TIMEOUT)
    assert [record.message for record in caplog.records] == ["the writer failed"]


def test_many_wake_ups_do_not_block(writer: Writer) -> None:
    """More wake-ups than the buffer of a socket holds."""
    is_busy, may_go_on = threading.Event(), threading.Event()

    class Slow(Flushed):
        def flush(self) -> None:
            is_busy.set()
            assert may_go_on.wait(TIMEOUT)

    writer.flush_soon(Slow())
    assert is_busy.wait(TIMEOUT)
    flushed = Flushed()
    for _ in range(5000):
        writer.flush_soon(flushed)
    may_go_on.set()
    assert flushed.is_flushed.wait(TIMEOUT)


def test_stop_ends_the_thread() -> None:
    writer = Writer()
    writer.stop()  # before there is a thread
    writer.start()  # has no effect after `stop`
    writer.flush_soon(Flushed())
    writer = Writer()
    writer.start()
    writer.start()  # a second call has no effect
    flushed = Flushed()
    writer.flush_soon(flushed)
    writer.stop()
    assert flushed.is_flushed.is_set()
    writer.stop()
    assert not any(thread.name == "wschat-writer" for thread in threading.enumerate())


def test_stop_can_be_called_during_a_flush() -> None:
    writer = Writer()
    writer.start()

    class Stopping(Flushed):
        def flush(self) -> None:
            writer.stop()
            super().flush()

    flushed = Stopping()
    writer.flush_soon(flushed)
    assert flushed.is_flushed.wait(TIMEOUT)
