"""`Pings`: which pings are due, unanswered or overdue."""

from __future__ import annotations

import pytest

from wschat.connection.pings import Pings, SentPing
from wschat.limits import Limits
from wschat.protocol.encoding import Encoding


def payload_of(ping: SentPing) -> bytes:
    """Return the payload that a ping is sent with, and its pong comes back with."""
    return Encoding(masks=False, window_bits=0).ping_frame(ping.number)[2:]


def test_a_pong_answers_its_ping_and_all_before_it() -> None:
    pings = Pings(Limits())
    first, second, third = pings.create(), pings.create(), pings.create()
    assert len({first.number, second.number, third.number}) == 3
    pings.receive_pong(payload_of(second))
    assert first.latency is not None
    assert second.latency is not None
    assert first.latency >= second.latency >= 0
    assert pings.latency == second.latency
    assert third.latency is None


@pytest.mark.parametrize("payload", [b"", b"\1", b"unasked for", b"\0\0\0\2", b"\0\0\0\0\1"])
def test_an_unsolicited_pong_is_ignored(payload: bytes) -> None:
    pings = Pings(Limits())
    ping = pings.create()
    pings.receive_pong(payload)
    assert (ping.latency, pings.latency) == (None, None)


def test_a_pong_counts_once_and_not_for_a_discarded_ping() -> None:
    pings = Pings(Limits())
    ping, forgotten = pings.create(), pings.create()
    pings.discard(forgotten)
    pings.discard(forgotten)
    pings.receive_pong(payload_of(forgotten))
    assert (ping.latency, forgotten.latency) == (None, None)
    pings.receive_pong(payload_of(ping))
    took = ping.latency
    pings.receive_pong(payload_of(ping))
    assert ping.latency is took is not None


@pytest.mark.parametrize(("interval", "timeout", "period"), [(20, 20, 10), (20, 5, 2.5), (5, 20, 2.5), (20, 0, 10), (0, 20, 0)], ids=str)
def test_keepalive_is_checked_twice_in_the_shorter_of_interval_and_timeout(interval: float, timeout: float, period: float) -> None:
    assert Pings(Limits(ping_interval=interval, ping_timeout=timeout)).period == period


def test_a_ping_is_due_after_the_interval_and_not_while_one_is_unanswered() -> None:
    assert Pings(Limits(ping_interval=3600)).due_keepalive() is None
    pings = Pings(Limits(ping_interval=0, ping_timeout=3600))
    assert not pings.is_peer_gone()
    probe = pings.due_keepalive()
    assert probe is not None
    assert pings.due_keepalive() is None
    assert not pings.is_peer_gone()
    pings.has_received = True
    assert not pings.is_peer_gone()
    assert pings.due_keepalive() is not None


def test_a_silent_peer_is_gone_after_the_timeout() -> None:
    pings = Pings(Limits(ping_interval=0, ping_timeout=1e-9))
    assert pings.due_keepalive()
    assert pings.is_peer_gone()
    pings.has_received = True
    assert not pings.is_peer_gone()


def test_without_a_timeout_no_peer_is_ever_gone() -> None:
    pings = Pings(Limits(ping_interval=0, ping_timeout=0))
    assert pings.due_keepalive()
    assert not pings.is_peer_gone()


def test_unanswered_pings_do_not_accumulate() -> None:
    pings = Pings(Limits(ping_interval=0))
    for _ in range(100):
        assert pings.due_keepalive() is not None
        pings.has_received = True
        assert not pings.is_peer_gone()
    assert len(pings._unanswered) < 10
