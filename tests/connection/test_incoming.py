"""The incoming side of a connection, without a socket."""

from __future__ import annotations

import pytest

from tests.protocol.wire import PING as PING_BYTE
from tests.protocol.wire import frame
from wschat.connection import incoming
from wschat.connection.incoming import Incoming
from wschat.connection.pings import Pings
from wschat.errors import ProtocolViolation
from wschat.limits import Limits
from wschat.protocol.encoding import Encoding


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(incoming, "monotonic", clock)
    return clock


def receiver(limits: Limits) -> tuple[Incoming, list[bytes]]:
    pongs: list[bytes] = []
    return Incoming(limits, Encoding(masks=True, window_bits=0), None, Pings(limits), pongs.extend), pongs


PING = frame(PING_BYTE, b"x", masked=False)


def test_control_frames_up_to_the_limit_are_answered_every_second(clock: Clock) -> None:
    side, pongs = receiver(Limits(max_control_frames_per_second=20))
    for second in range(1, 4):
        side.feed(PING * 15)
        side.feed(PING * 5)
        assert (side.end, len(pongs)) == (None, 20 * second)
        clock.now += 1


def test_more_control_frames_in_a_second_end_the_connection_with_1008(clock: Clock) -> None:
    side, pongs = receiver(Limits(max_control_frames_per_second=20))
    side.feed(PING * 20)
    clock.now += 0.9
    side.feed(PING)
    assert isinstance(side.end, ProtocolViolation)
    assert (side.end.code, len(pongs)) == (1008, 20)


@pytest.mark.usefixtures("clock")
def test_without_the_limit_any_number_of_control_frames_is_answered() -> None:
    side, pongs = receiver(Limits(max_control_frames_per_second=0))
    side.feed(PING * 10_000)
    assert (side.end, len(pongs)) == (None, 10_000)
