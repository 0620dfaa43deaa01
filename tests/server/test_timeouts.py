"""PeerTimeout: a late peer is cut off, with one timer at a time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from wschat.connection.timers import Timer, Timers
from wschat.server import timeouts as module
from wschat.server.timeouts import PeerTimeout


class FakeTimers(Timers):
    """Timers whose clock the test advances."""

    def __init__(self) -> None:
        self.now = monotonic()
        self._planned: list[tuple[float, Timer]] = []

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        timer = Timer(action, lambda: None)
        self._planned.append((self.now + seconds, timer))
        return timer

    @property
    def waiting(self) -> int:
        """The number of timers, including cancelled ones."""
        return len(self._planned)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [entry for entry in self._planned if entry[0] <= until]:
            entry = min(due, key=lambda other: other[0])
            self._planned.remove(entry)
            self.now = entry[0]
            entry[1].fire()
        self.now = until


class Peer:
    def __init__(self, clock: FakeTimers) -> None:
        self.cuts = 0
        self.timeout = PeerTimeout(clock, self._cut)

    def _cut(self) -> None:
        self.cuts += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTimers:
    clock = FakeTimers()
    monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def peer(clock: FakeTimers) -> Peer:
    return Peer(clock)


def test_a_late_peer_is_cut_off_once(clock: FakeTimers, peer: Peer) -> None:
    peer.timeout.start(10)
    clock.advance(9)
    assert peer.cuts == 0
    clock.advance(2)
    assert peer.cuts == 1
    clock.advance(100)
    assert peer.cuts == 1


def test_a_peer_in_time_is_not_cut_off(clock: FakeTimers, peer: Peer) -> None:
    peer.timeout.start(10)
    clock.advance(9)
    peer.timeout.stop()
    clock.advance(100)
    assert peer.cuts == 0


def test_each_start_gives_the_whole_timeout(clock: FakeTimers, peer: Peer) -> None:
    for _ in range(5):
        peer.timeout.start(10)
        clock.advance(9)
        peer.timeout.stop()
    peer.timeout.start(10)
    clock.advance(9)
    assert peer.cuts == 0
    clock.advance(2)
    assert peer.cuts == 1


def test_a_shorter_timeout_replaces_a_longer_one(clock: FakeTimers, peer: Peer) -> None:
    peer.timeout.start(100)
    peer.timeout.stop()
    peer.timeout.start(1)
    clock.advance(2)
    assert peer.cuts == 1


def test_a_timeout_of_0_is_no_limit(clock: FakeTimers, peer: Peer) -> None:
    peer.timeout.start(0)
    clock.advance(1e9)
    assert peer.cuts == 0


def test_ten_thousand_timeouts_take_one_timer(clock: FakeTimers, peer: Peer) -> None:
    for _ in range(10_000):
        peer.timeout.start(10)
        peer.timeout.stop()
        clock.advance(0.0001)
    assert clock.waiting == 1


def test_close_cancels_the_timeout(clock: FakeTimers, peer: Peer) -> None:
    peer.timeout.start(10)
    peer.timeout.close()
    clock.advance(100)
    assert peer.cuts == 0
