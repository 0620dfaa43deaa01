"""Quotas: limits on the bytes buffered for several slow peers together."""

from __future__ import annotations

import contextlib
import threading

from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import Wiring, end_of, narrow_sockets
from tests.protocol.wire import BINARY
from wschat.connection.quota import Quota
from wschat.hub import Hub
from wschat.limits import Limits

BIG = b"x" * 50_000  # more than the narrow sockets take
LIMITS = Limits(ping_interval=0, outbox_seconds=0, send_timeout=0.1, close_timeout=0.1)


def test_a_quota_counts_buffered_bytes_only(wire: Wiring) -> None:
    quota = Quota(1_000_000)
    connection, peer = wire.raw(narrow_sockets(), limits=LIMITS, quotas=[quota])
    connection.send("fits into the kernel")
    assert quota.used == 0
    peer.frame()
    connection.send(BIG)
    connection.offer(b"\x82\x01x")
    assert quota.used == connection.waiting_bytes > 10_000
    assert peer.frame() == (BINARY, BIG)
    assert peer.frame() == (BINARY, b"x")
    eventually(lambda: quota.used == 0)
    connection.send(BIG)
    assert quota.used > 0
    peer.close()
    connection.close()
    assert quota.used == 0


def test_a_broadcast_evicts_slow_peers_when_the_quota_is_exceeded(wire: Wiring) -> None:
    """No peer has more than a sixth of its own limit, and a peer that reads loses nothing."""
    quota, hub = Quota(150_000), Hub()
    slow = [wire.raw(narrow_sockets(), limits=LIMITS, quotas=[quota]) for _ in range(6)]
    quick, reader = wire.raw(narrow_sockets(), limits=LIMITS, quotas=[quota])
    for connection, _ in [*slow, (quick, reader)]:
        hub.join(connection)
    for number in range(20):
        hub.broadcast(b"%d" % number + BIG)
        assert reader.frame() == (BINARY, b"%d" % number + BIG)
        assert quota.used < 150_000 + 8 * 50_000  # and one message for each
    evicted = [connection for connection, _ in slow if connection.was_evicted]
    assert len(evicted) == 6
    assert not quick.was_evicted
    for connection, peer in slow:
        peer.close()
        assert end_of(connection) == (1008, "too slow")
    assert hub.leave(quick) is None


def test_a_send_waits_for_room_in_the_quota_too_and_then_gives_up(wire: Wiring) -> None:
    quota = Quota(60_000)
    first, first_peer = wire.raw(narrow_sockets(), limits=LIMITS, quotas=[quota])
    second, second_peer = wire.raw(narrow_sockets(), limits=LIMITS, quotas=[quota])
    first.send(BIG)
    second.send(BIG)  # a peer with an empty send buffer may always be sent one message
    assert quota.used > 60_000
    with contextlib.suppress(Exception):
        second.send("one more")
    assert second.was_evicted
    second_peer.close()
    assert end_of(second) == (1008, "too slow")
    sending = wire.run(first.send, "one more")
    assert first_peer.frame() == (BINARY, BIG)
    sending.result(TIMEOUT)
    assert quota.used <= 60_000


def test_many_threads_count_at_once() -> None:
    quota = Quota(1)

    def count() -> None:
        for _ in range(10_000):
            quota.change(3)
            quota.change(-3)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quota.used == 0
    assert quota.has_room(1)
    assert not quota.has_room(2)
