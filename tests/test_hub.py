"""The hub: all members get all messages in one order, and no member delays another."""

from __future__ import annotations

import gc
import random
import signal
import threading
import weakref
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import Wiring, end_of, narrow_sockets, received
from tests.protocol.wire import BINARY, CLOSE, COMPRESSED, TEXT
from wschat.connection.connection import Connection
from wschat.counters import counters
from wschat.errors import UsageError
from wschat.hub import Hub, _Broadcast
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate

NO_CONTEXT = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)


def room(wire: Wiring, hub: Hub, count: int) -> tuple[list[Connection], list[Connection]]:
    """Join `count` members to a hub. Return them and the other ends of their connections."""
    pairs = [wire.pair() for _ in range(count)]
    for member, _ in pairs:
        hub.join(member)
    return [member for member, _ in pairs], [client for _, client in pairs]


def test_a_broadcast_reaches_all_members(wire: Wiring) -> None:
    hub = wschat.Hub()
    _, clients = room(wire, hub, 5)
    for message in ("text", b"bytes", "", "y" * 70_000):
        hub.broadcast(message)
        assert [client.recv(timeout=TIMEOUT) for client in clients] == [message] * 5


def test_the_members_are_those_that_joined_and_have_not_left(wire: Wiring) -> None:
    hub = Hub()
    assert (len(hub), list(hub)) == (0, [])
    (one, two), (first, second) = room(wire, hub, 2)
    hub.join(one)
    assert (len(hub), set(hub), one in hub, "one" in hub) == (2, {one, two}, True, False)
    hub.leave(two)
    hub.leave(two)
    assert (len(hub), list(hub), two in hub) == (1, [one], False)
    hub.broadcast("x")
    hub.join(two)
    hub.broadcast("y")
    assert [first.recv(timeout=TIMEOUT), first.recv(timeout=TIMEOUT)] == ["x", "y"]
    assert second.recv(timeout=TIMEOUT) == "y"


def test_a_hub_does_not_keep_members_that_have_left(wire: Wiring) -> None:
    class Listener:
        encoding = wire.pair()[0].encoding

        def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
            """Receive nothing."""

    hub, listener = Hub(), Listener()
    hub.join(listener)
    hub.broadcast("hello")
    list(hub)
    hub.leave(listener)
    left = weakref.ref(listener)
    del listener
    gc.collect()
    assert left() is None


def test_members_can_leave_during_an_iteration(wire: Wiring) -> None:
    hub = Hub()
    members, _ = room(wire, hub, 3)
    for member in hub:
        hub.leave(member)
    assert len(hub) == 0
    assert members


def test_excluded_members_do_not_get_a_broadcast(wire: Wiring) -> None:
    hub = Hub()
    members, clients = room(wire, hub, 3)
    hub.broadcast("not for the first", exclude=[members[0]])
    hub.broadcast("for nobody", exclude=members)
    hub.broadcast("for the first", exclude={members[1], members[2]})
    hub.broadcast("for all")
    assert [client.recv(timeout=TIMEOUT) for client in clients] == ["for the first", "not for the first", "not for the first"]
    assert [client.recv(timeout=TIMEOUT) for client in clients] == ["for all"] * 3


def test_exclusions_hold_within_a_batch(wire: Wiring) -> None:
    """Messages of one batch can exclude different members."""
    hub = Hub()
    members, clients = room(wire, hub, 2)
    with hub._flush_lock:  # as if another thread were flushing
        hub.broadcast("1", exclude=[members[0]])
        hub.broadcast("2")
        hub.broadcast("3", exclude=members)
    hub.flush()
    hub.broadcast("end")
    assert [clients[0].recv(timeout=TIMEOUT) for _ in range(2)] == ["2", "end"]
    assert [clients[1].recv(timeout=TIMEOUT) for _ in range(3)] == ["1", "2", "end"]


@pytest.mark.parametrize("message", [None, 1, ["a"], {"a": 1}, "\ud800"])
def test_broadcasting_something_that_is_not_a_message_raises_usage_error(wire: Wiring, message: str) -> None:
    hub = Hub()
    _, (client,) = room(wire, hub, 1)
    with pytest.raises(UsageError):
        hub.broadcast(message)
    hub.broadcast("next")
    assert client.recv(timeout=TIMEOUT) == "next"


@pytest.mark.parametrize("stranger", ["x", None, 3, object()])
@pytest.mark.parametrize("method", [Hub.join, Hub.admit, Hub.leave, lambda hub, member: hub.add_for(member, "x")])
def test_a_member_that_is_not_a_connection_raises_usage_error(method: Any, stranger: Any) -> None:
    with pytest.raises(UsageError, match="a member of a hub must be a Connection, not "):
        method(Hub(), stranger)


def test_exclude_must_be_a_collection_of_connections(wire: Wiring) -> None:
    hub = Hub()
    members, _ = room(wire, hub, 1)
    with pytest.raises(UsageError, match=r"exclude=\[connection\]"):
        hub.broadcast("x", exclude=members[0])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a member of a hub must be a Connection, not 'me'"):
        hub.broadcast("x", exclude=["me"])  # type: ignore[list-item]


def test_a_buffer_can_be_reused_after_the_broadcast(wire: Wiring) -> None:
    hub = Hub()
    _, (client,) = room(wire, hub, 1)
    buffer = bytearray(b"before")
    with hub._flush_lock:  # as if another thread were flushing, so that the message has to wait
        hub.broadcast(buffer)  # type: ignore[arg-type]  # accepted at run time
    buffer[:] = b"after"
    hub.flush()
    assert client.recv(timeout=TIMEOUT) == b"before"


def test_each_member_gets_frames_in_its_own_encoding(wire: Wiring) -> None:
    hub = Hub()
    text = "compress me " * 50
    kinds = [
        (None, False, TEXT),
        (NO_CONTEXT, False, TEXT | COMPRESSED),
        (Deflate(), False, TEXT),  # its compressor's context is its own
        (None, True, TEXT),
        (NO_CONTEXT, True, TEXT | COMPRESSED),
    ]
    peers = []
    for deflate, is_client, _ in kinds * 2:
        member, peer = wire.raw(deflate=deflate, is_client=is_client)
        hub.join(member)
        peers.append(peer)
    hub.broadcast(text)
    hub.broadcast("short")
    assert [peer.frame()[0] for peer in peers] == [first for _, _, first in kinds * 2]
    assert [peer.frame() for peer in peers] == [(TEXT, b"short")] * 10


@pytest.mark.parametrize("deflate", [None, Deflate(), NO_CONTEXT, Deflate(server_max_window_bits=9, server_no_context_takeover=True)])
def test_a_member_can_be_sent_to_between_broadcasts(wire: Wiring, deflate: Deflate | None) -> None:
    hub = Hub()
    server, client = wire.pair(deflate=deflate)
    hub.join(server)
    text = "compress me " * 50

    def send() -> None:
        for number in range(20):
            (server.send if number % 2 else hub.broadcast)(f"{number} {text}")

    wire.run(send)
    assert [client.recv(timeout=TIMEOUT) for _ in range(20)] == [f"{number} {text}" for number in range(20)]


def test_all_members_get_all_messages_of_many_threads_in_one_order(wire: Wiring) -> None:
    hub = Hub()
    threads, count = 8, 500
    members, clients = room(wire, hub, 5)

    def broadcast(thread: int) -> None:
        for number in range(count):
            hub.broadcast(f"{thread} {number}")

    receiving = [wire.run(received, client) for client in clients]
    for task in [wire.run(broadcast, thread) for thread in range(threads)]:
        task.result()
    eventually(lambda: not hub._pending)
    with hub._flush_lock:
        pass
    for member in members:
        wire.run(member.close)
    first, *others = [task.result() for task in receiving]
    assert all(messages == first for messages in others)
    for thread in range(threads):
        numbers = [str(message).split()[1] for message in first if str(message).startswith(f"{thread} ")]
        assert numbers == [str(number) for number in range(count)]


def test_nothing_is_lost_when_members_broadcast_what_they_receive(wire: Wiring) -> None:
    """Every client pipelines, so broadcasts are deferred to the end of a cork."""
    hub = Hub()
    members, clients = room(wire, hub, 6)
    count = 200

    def relay(member: Connection) -> None:
        for message in member:
            hub.broadcast(str(message))

    for member in members:
        wire.run(relay, member)

    def send(client: Connection, thread: int) -> None:
        for number in range(count):
            client.send(f"{thread} {number}")

    def receive(client: Connection) -> list[str | bytes]:
        return [client.recv(timeout=TIMEOUT) for _ in range(6 * count)]

    for thread, client in enumerate(clients):
        wire.run(send, client, thread)
    got = [wire.run(receive, client) for client in clients]
    first, *others = [task.result() for task in got]
    assert all(messages == first for messages in others)
    assert len(set(first)) == 6 * count


def test_a_member_that_does_not_read_is_evicted_without_delaying_the_others(wire: Wiring) -> None:
    hub = Hub()
    slow, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=50_000))
    hub.join(slow)
    _, clients = room(wire, hub, 3)
    for number in range(100):
        hub.broadcast(f"{number} " + "x" * 1000)
        assert [str(client.recv(timeout=TIMEOUT)).split()[0] for client in clients] == [str(number)] * 3
    assert peer.frames_until(CLOSE)[-1] == (CLOSE, b"\x03\xf0too slow")
    peer.close()
    assert end_of(slow) == (1008, "too slow")


def test_a_disconnected_member_does_not_affect_the_others(wire: Wiring) -> None:
    hub = Hub()
    gone, peer = wire.raw()
    hub.join(gone)
    _, (client,) = room(wire, hub, 1)
    peer.close()
    for _ in range(3):
        hub.broadcast("x")
        assert client.recv(timeout=TIMEOUT) == "x"
    assert end_of(gone)[0] == 1006
    hub.broadcast("y")
    assert client.recv(timeout=TIMEOUT) == "y"


def test_the_writer_takes_over_a_flush_after_a_few_rounds(wire: Wiring) -> None:
    """So `broadcast` returns even if other threads keep adding messages."""
    hub = Hub()
    member, peer = wire.raw()
    hub.join(member)
    senders: set[str] = set()
    left = 10

    class Busy(Hub):
        def _deliver(self, items: list[_Broadcast]) -> None:
            nonlocal left
            senders.add(threading.current_thread().name)
            super()._deliver(items)
            if left:
                left -= 1
                self.add(f"{left}")

    busy = Busy()
    busy.join(member)
    busy.broadcast("first")
    assert [peer.frame() for _ in range(11)] == [(TEXT, b"first")] + [(TEXT, b"%d" % number) for number in range(9, -1, -1)]
    assert senders == {threading.current_thread().name, "wschat-writer"}


def test_a_hub_without_members_leaves_no_thread_behind() -> None:
    class Busy(Hub):
        def _deliver(self, items: list[_Broadcast]) -> None:
            if len(rounds) < 10:
                rounds.append(1)
                self.add("more")

    rounds: list[int] = []
    hub = Busy()
    hub.broadcast("first")
    eventually(lambda: len(rounds) == 10 and not hub._pending)


def test_members_come_and_go_while_others_broadcast(wire: Wiring) -> None:
    hub = Hub()
    steady, (client,) = room(wire, hub, 1)
    pairs = [wire.pair() for _ in range(4)]

    def come_and_go(member: Connection, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            hub.join(member)
            if chance.random() < 0.5:
                hub.broadcast(b"also", exclude=steady)
            hub.leave(member)

    tasks = [wire.run(come_and_go, member, seed) for seed, (member, _) in enumerate(pairs)]
    for number in range(500):
        hub.broadcast(str(number))
    assert [client.recv(timeout=TIMEOUT) for _ in range(500)] == [str(number) for number in range(500)]
    for task in tasks:
        task.result()
    assert list(hub) == steady


def test_binary_and_text_share_a_batch(wire: Wiring) -> None:
    hub = Hub()
    member, peer = wire.raw()
    hub.join(member)
    with hub._flush_lock:
        hub.broadcast("t")
        hub.broadcast(b"b")
    hub.flush()
    assert [peer.frame(), peer.frame()] == [(TEXT, b"t"), (BINARY, b"b")]


def test_deliveries_and_their_durations_are_counted(wire: Wiring) -> None:
    hub = Hub()
    hub.broadcast("to nobody")
    members, _ = room(wire, hub, 3)
    before = counters.read()
    hub.broadcast("to three")
    with hub._flush_lock:  # as if another thread were flushing
        hub.broadcast("to two", exclude=members[:1])
        hub.broadcast("to nobody", exclude=members)
        hub.admit(members[0])
        hub.broadcast("to the admitted member, too")
    hub.flush()
    after = counters.read()
    assert after.deliveries - before.deliveries == 3 + 2 + 0 + 3
    assert sum(after.fan_outs) - sum(before.fan_outs) == 4
    assert 0 < after.fan_out_seconds - before.fan_out_seconds < 4 * TIMEOUT


class Failing:
    """A member whose `offer` raises an error."""

    def __init__(self, encoding: object) -> None:
        self.encoding = encoding

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        raise OSError("no descriptor is left")


class FailingAnew(Failing):
    """A member whose `offer` is another function each time."""

    @property
    def offer(self) -> Any:
        return lambda frames, is_droppable=True: Failing.offer(self, frames)


@pytest.mark.parametrize("kind", [Failing, FailingAnew])
def test_a_member_whose_offer_fails_does_not_affect_the_others(wire: Wiring, caplog: pytest.LogCaptureFixture, kind: type[Failing]) -> None:
    hub = Hub()
    _, clients = room(wire, hub, 3)
    failing = kind(next(iter(hub)).encoding)
    hub.join(failing)  # type: ignore[arg-type]
    _, more = room(wire, hub, 3)
    for message in ("one", "two"):
        hub.broadcast(message, exclude=[])
        assert [client.recv(timeout=TIMEOUT) for client in clients + more] == [message] * 6
    hub.add_for(failing, "an answer")  # type: ignore[arg-type]
    hub.admit(failing, "a greeting")  # type: ignore[arg-type]
    hub.broadcast("three")
    assert [client.recv(timeout=TIMEOUT) for client in clients + more] == ["three"] * 6
    assert {record.getMessage().partition(" to ")[0] for record in caplog.records} == {"a broadcast"}
    assert "no descriptor is left" in caplog.text


class Interrupted(Failing):
    """A member during whose `offer` a signal arrives."""

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        signal.raise_signal(signal.SIGALRM)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signal")
@pytest.mark.parametrize("excluded", ["", "clients", "interrupted"])
def test_an_exception_of_a_signal_handler_propagates_and_the_others_get_the_broadcast(wire: Wiring, excluded: str) -> None:
    hub = Hub()
    _, clients = room(wire, hub, 3)
    interrupted = Interrupted(next(iter(hub)).encoding)
    others = list(hub)
    hub.join(interrupted)  # type: ignore[arg-type]
    _, more = room(wire, hub, 3)
    if excluded:
        hub.add("not to all", exclude=[interrupted] if excluded == "interrupted" else others)  # type: ignore[list-item]

    def on_signal(signum: int, frame: object) -> None:
        raise TimeoutError("mine")

    before = signal.signal(signal.SIGALRM, on_signal)
    try:
        with pytest.raises(TimeoutError, match="mine"):
            hub.broadcast("to all")
    finally:
        signal.signal(signal.SIGALRM, before)
    receivers = {"": [], "clients": more, "interrupted": clients + more}[excluded]
    assert [client.recv(timeout=TIMEOUT) for client in receivers] == ["not to all"] * len(receivers)
    assert [client.recv(timeout=TIMEOUT) for client in clients + more] == ["to all"] * 6
