"""`Hub.admit`: a member gets its greeting, then every message added after it, and none from before."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import pytest

from tests.concurrency import TIMEOUT, eventually, switching_often
from tests.connection.wiring import END, Wiring, narrow_sockets, until_end
from tests.protocol.wire import CLOSE, TEXT
from wschat.connection.connection import Connection
from wschat.errors import UsageError
from wschat.hub import Hub
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate

# For clients whose threads may not run for a while on a busy machine.
UNLIMITED = Limits(outbox_bytes=0, outbox_seconds=0)


def broadcast_now(hub: Hub, message: str | bytes) -> None:
    """Broadcast at once, although the thread of the test may have a cork."""
    hub.add(message)
    hub.flush()


def test_an_admitted_member_gets_its_greeting_and_then_later_messages(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.add("before")
    hub.admit(member, "greeting")
    hub.add("one")
    hub.add(b"two")
    hub.flush()
    hub.broadcast("three")
    hub.broadcast(END)
    assert until_end(client) == ["greeting", "one", b"two", "three"]


@pytest.mark.parametrize("greeting", ["greeting", b"greeting", "", "long " * 20_000])
@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflated"])
def test_a_greeting_is_a_message_like_any_other(wire: Wiring, greeting: str | bytes, deflate: Deflate | None) -> None:
    hub = Hub()
    member, client = wire.pair(deflate=deflate)
    hub.admit(member, greeting)
    hub.flush()
    hub.broadcast("long " * 100)
    assert [client.recv(timeout=TIMEOUT), client.recv(timeout=TIMEOUT)] == [greeting, "long " * 100]


def test_without_a_greeting_an_admitted_member_gets_only_later_messages(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.add("before")
    hub.admit(member)
    hub.flush()
    assert list(hub) == [member]
    hub.broadcast(END)
    assert until_end(client) == []


def test_an_admission_takes_effect_with_the_next_flush(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.admit(member, "greeting")
    assert (len(hub), member in hub, list(hub)) == (0, False, [])
    hub.flush()
    assert (len(hub), member in hub, list(hub)) == (1, True, [member])
    assert client.recv(timeout=TIMEOUT) == "greeting"


def test_each_admitted_member_gets_its_own_greeting_and_later_messages(wire: Wiring) -> None:
    """All are admitted by one flush, next to an old member."""
    hub = Hub()
    steady, old = wire.pair()
    hub.join(steady)
    clients = []
    for number in range(5):
        hub.add(f"before {number}")
        member, client = wire.pair(deflate=Deflate() if number % 2 else None)
        hub.admit(member, f"greeting {number}")
        clients.append(client)
    hub.add("last")
    hub.flush()
    hub.broadcast(END)
    for number, client in enumerate(clients):
        assert until_end(client) == [f"greeting {number}", *[f"before {later}" for later in range(number + 1, 5)], "last"]
    assert until_end(old) == [*[f"before {number}" for number in range(5)], "last"], "greetings are not for others"


def test_exclusions_apply_to_members_being_admitted(wire: Wiring) -> None:
    hub = Hub()
    (one, first), (other, second) = wire.pair(), wire.pair()
    hub.admit(one, "one")
    hub.admit(other, "other")
    hub.add("not for one", exclude=[one])
    hub.add("for all")
    hub.add("for nobody", exclude={one, other})
    hub.flush()
    hub.broadcast(END)
    assert until_end(first) == ["one", "for all"]
    assert until_end(second) == ["other", "not for one", "for all"]


def test_a_member_can_be_excluded_from_the_announcement_of_its_arrival(wire: Wiring) -> None:
    hub = Hub()
    steady, old = wire.pair()
    hub.join(steady)
    member, client = wire.pair()
    hub.admit(member, "welcome")
    hub.broadcast("a member joined", exclude=[member])
    hub.broadcast(END)
    assert (until_end(old), until_end(client)) == (["a member joined"], ["welcome"])


def test_a_member_that_leaves_before_the_flush_gets_nothing(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.admit(member, "greeting")
    hub.add("one")
    hub.leave(member)
    hub.flush()
    assert (len(hub), hub.is_deserted) == (0, True)
    broadcast_now(hub, "two")
    member.send(END)
    assert until_end(client) == []


def test_a_member_that_leaves_and_is_admitted_again_before_the_flush_gets_the_second_greeting(wire: Wiring) -> None:
    """The first greeting is outdated, and messages added between the two admissions are not for this member."""
    hub = Hub()
    member, client = wire.pair()
    hub.admit(member, "first greeting")
    hub.add("one")
    hub.leave(member)
    hub.add("two")
    hub.admit(member, "second greeting")
    hub.add("three")
    hub.flush()
    hub.broadcast(END)
    assert until_end(client) == ["second greeting", "three"]


def test_a_former_member_can_be_admitted(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.join(member)
    broadcast_now(hub, "one")
    hub.leave(member)
    broadcast_now(hub, "two")
    hub.admit(member, "greeting")
    broadcast_now(hub, "three")
    hub.leave(member)
    broadcast_now(hub, "four")
    member.send(END)
    assert until_end(client) == ["one", "greeting", "three"]


def test_a_hub_is_deserted_if_it_has_neither_members_nor_admissions(wire: Wiring) -> None:
    hub = Hub()
    one, other = wire.pair()[0], wire.pair()[0]
    assert hub.is_deserted
    hub.add("x")
    assert hub.is_deserted
    hub.admit(one)
    assert not hub.is_deserted
    hub.flush()
    assert not hub.is_deserted
    hub.join(other)
    hub.leave(one)
    assert not hub.is_deserted
    hub.leave(other)
    assert hub.is_deserted
    hub.admit(one)
    hub.leave(one)
    assert hub.is_deserted


def test_a_hub_is_never_deserted_while_it_admits_a_member(wire: Wiring) -> None:
    """If it looked deserted for a moment, messages would be skipped, or the hub discarded."""
    hub = Hub()
    member, _ = wire.pair()
    visit = 0  # the number of the admission, or 0 while the member may be out
    is_over = threading.Event()

    def look() -> int:
        while not is_over.is_set():
            before = visit
            if hub.is_deserted and before and visit == before:
                return before
        return 0

    with switching_often():
        looking = [wire.run(look) for _ in range(2)]
        try:
            for number in range(1, 3001):
                hub.admit(member)
                visit = number
                hub.flush()
                visit = 0
                hub.leave(member)
        finally:
            is_over.set()
    assert [task.result(TIMEOUT) for task in looking] == [0, 0], "in these admissions the hub looked deserted"


@pytest.mark.parametrize("greeting", [1, ["a"], {"a": 1}, "\ud800"])
def test_a_greeting_that_is_not_a_message_raises_usage_error(wire: Wiring, greeting: Any) -> None:
    hub = Hub()
    steady, old = wire.pair()
    hub.join(steady)
    member, _ = wire.pair()
    hub.add("one")
    with pytest.raises(UsageError):
        hub.admit(member, greeting)
    hub.add("two")
    hub.flush()
    hub.broadcast(END)
    assert until_end(old) == ["one", "two"]
    assert member not in hub


def test_a_buffer_can_be_reused_after_the_admission(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    buffer = bytearray(b"before")
    hub.admit(member, buffer)  # type: ignore[arg-type]  # accepted at run time
    buffer[:] = b"after"
    hub.flush()
    assert client.recv(timeout=TIMEOUT) == b"before"


def test_a_member_that_disconnects_before_its_admission_does_not_affect_the_others(wire: Wiring) -> None:
    hub = Hub()
    gone, peer = wire.raw()
    member, client = wire.pair()
    hub.admit(gone, "greeting")
    hub.admit(member, "greeting")
    peer.close()
    gone.close()
    hub.add("one")
    hub.flush()
    hub.broadcast(END)
    assert until_end(client) == ["greeting", "one"]
    hub.leave(gone)
    assert list(hub) == [member]


def test_a_member_without_room_for_its_greeting_is_evicted_without_delaying_the_others(wire: Wiring) -> None:
    hub = Hub()
    slow, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=50_000))
    member, client = wire.pair()
    hub.admit(slow, "x" * 40_000)
    hub.admit(member, "greeting")
    hub.flush()
    for number in range(100):
        hub.broadcast(f"{number} " + "x" * 1000)
    hub.broadcast(END)
    assert [str(message).split()[0] for message in until_end(client)] == ["greeting", *map(str, range(100))]
    frames = peer.frames_until(CLOSE)
    assert (frames[0], frames[-1]) == ((TEXT, b"x" * 40_000), (CLOSE, b"\x03\xf0too slow"))


def test_a_member_admitted_during_a_flush_is_added_by_the_flushing_thread(wire: Wiring) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow(Hub):
        def _deliver(self, pending: Any) -> None:
            begun.set()
            assert may_go_on.wait(TIMEOUT)
            super()._deliver(pending)

    hub = Slow()
    steady, old = wire.pair()
    hub.join(steady)
    flushing = wire.run(hub.broadcast, "before")
    assert begun.wait(TIMEOUT)
    member, client = wire.pair()
    hub.admit(member, "greeting")
    hub.add("one")
    hub.flush()  # does not wait for the other thread
    assert member not in hub
    may_go_on.set()
    flushing.result(TIMEOUT)
    assert member in hub
    broadcast_now(hub, END)
    assert until_end(client) == ["greeting", "one"]
    assert until_end(old) == ["before", "one"]


def test_a_reply_goes_to_one_member_after_earlier_messages(wire: Wiring) -> None:
    hub = Hub()
    (one, at_one), (two, at_two), (stranger, at_stranger) = (wire.raw() for _ in range(3))
    hub.join(one)
    hub.admit(two, "greeting")
    hub.add("before")
    for connection, name in ((one, "one"), (two, "two"), (stranger, "stranger")):
        hub.add_for(connection, f"for {name}", f"and again for {name}")
        hub.add_for(connection)
    with pytest.raises(UsageError):
        hub.add_for(one, "with another one that", "\ud800")
    hub.flush()
    hub.broadcast("after")
    assert [at_one.frame()[1] for _ in range(4)] == [b"before", b"for one", b"and again for one", b"after"]
    assert [at_two.frame()[1] for _ in range(5)] == [b"greeting", b"before", b"for two", b"and again for two", b"after"]
    assert [at_stranger.frame()[1] for _ in range(2)] == [b"for stranger", b"and again for stranger"]


def test_leave_returns_a_greeting_that_was_not_sent(wire: Wiring) -> None:
    hub = Hub()
    member, peer = wire.raw()
    hub.admit(member, "greeting")
    assert hub.leave(member) == "greeting"
    assert hub.leave(member) is None
    hub.broadcast("nobody hears this")
    hub.admit(member, "anew")
    hub.flush()
    assert hub.leave(member) is None  # the greeting has been sent
    assert peer.frame()[1] == b"anew"


def test_drop_oldest_keeps_replies(wire: Wiring) -> None:
    hub = Hub()
    member, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=200_000, outbox_seconds=0, slow_peer="drop-oldest"))
    hub.join(member)
    hub.broadcast("x" * 50_000)  # more than the kernel buffers for a peer that does not read
    hub.add_for(member, "a reply")
    hub.flush()
    for number in range(100):
        hub.broadcast(f"{number} " + "y" * 10_000)
    received: list[bytes] = []
    while not received or not received[-1].startswith(b"99 "):
        received.append(peer.frame()[1])
    assert b"a reply" in received
    assert len(received) < 100


def test_an_admission_keeps_its_place_in_a_cork(wire: Wiring) -> None:
    """A client pipelines: its thread's messages and admissions take effect at the end of the cork, in order."""
    hub = Hub()
    talker, peer = wire.pair()
    hub.join(talker)
    newcomer, client = wire.pair()

    def serve() -> None:
        for message in talker:
            if message == "admit":
                hub.admit(newcomer, "greeting")
                hub.send_soon()
            else:
                hub.broadcast(message)

    wire.run(serve)
    for message in ("one", "admit", "two", "three", END):
        peer.send(message)
    assert until_end(client) == ["greeting", "two", "three"]
    assert until_end(peer) == ["one", "two", "three"]


def test_an_admitted_member_gets_every_later_message_exactly_once(wire: Wiring) -> None:
    """The greeting names the last number before the admission, as a history does. The member gets every later number once."""
    hub = Hub()
    deciding = threading.Lock()  # guards `last` and the order of messages in the hub
    last = 0
    pairs = [wire.pair(limits=UNLIMITED) for _ in range(24)]
    all_are_in = threading.Event()

    def talk() -> None:
        nonlocal last
        while not all_are_in.is_set():
            with deciding:
                last += 1
                hub.add(f"{last}")
            hub.send_soon()

    def has_passed(number: int) -> bool:
        return last > number

    def come(members: list[Connection]) -> None:
        for member in members:
            with deciding:
                seen = last
                hub.admit(member, f"{seen}")
            hub.flush()
            eventually(partial(has_passed, seen + 50))  # spread the admissions over time

    received = [wire.run(until_end, client) for _, client in pairs]
    talking = [wire.run(talk) for _ in range(3)]
    try:
        for coming in [wire.run(come, [member for member, _ in pairs[first::4]]) for first in range(4)]:
            coming.result(TIMEOUT)
    finally:
        all_are_in.set()
    for talker in talking:
        talker.result(TIMEOUT)
    broadcast_now(hub, END)
    for messages in received:
        numbers = [int(number) for number in messages.result(TIMEOUT)]
        assert numbers == list(range(numbers[0], last + 1))
    assert set(hub) == {member for member, _ in pairs}


def test_a_member_admitted_again_and_again_gets_every_message_after_its_last_greeting(wire: Wiring) -> None:
    """As for a member that asks for the history of its room: it leaves and is admitted again at once, while others send."""
    hub = Hub()
    deciding = threading.Lock()  # guards `last` and the order of messages in the hub
    last = 0
    is_over = threading.Event()
    times = 200
    pairs = [wire.pair(limits=UNLIMITED) for _ in range(4)]

    def talk() -> None:
        nonlocal last
        while not is_over.is_set():
            with deciding:
                last += 1
                hub.add(f"{last}")
            hub.send_soon()

    def admit_again(member: Connection) -> None:
        for time in range(times):
            with deciding:
                hub.leave(member)
                hub.admit(member, f"greeting {time} {last}")
            hub.flush()

    received = [wire.run(until_end, client) for _, client in pairs]
    talking = [wire.run(talk) for _ in range(2)]
    try:
        for task in [wire.run(admit_again, member) for member, _ in pairs]:
            task.result(TIMEOUT)
    finally:
        is_over.set()
    for talker in talking:
        talker.result(TIMEOUT)
    broadcast_now(hub, END)
    for messages in received:
        greeting, expected = 0, 0
        for message in map(str, messages.result(TIMEOUT)):
            if message.startswith("greeting"):
                greeting, expected = (int(number) for number in message.split()[1:])
            else:
                expected += 1
                assert message == f"{expected}"
        assert (greeting, expected) == (times - 1, last)


def test_members_come_and_go_while_others_send(wire: Wiring) -> None:
    """After each greeting a member gets every number until it leaves. Messages already under way may still arrive later."""
    hub = Hub()
    deciding = threading.Lock()  # guards `last` and the order of messages in the hub
    last = 0
    is_over = threading.Event()
    pairs = [wire.pair(limits=UNLIMITED) for _ in range(6)]

    def talk() -> None:
        nonlocal last
        while not is_over.is_set():
            with deciding:
                last += 1
                hub.add(f"{last}")
            hub.send_soon()

    def come_and_go(member: Connection, client: Connection) -> None:
        for visit in range(30):
            with deciding:
                hub.admit(member, f"greeting {visit} {last}")
            hub.flush()
            greeting = str(client.recv(timeout=TIMEOUT))
            while not greeting.startswith("greeting"):
                greeting = str(client.recv(timeout=TIMEOUT))
            assert greeting.split()[1] == str(visit)
            expected = int(greeting.split()[2])
            for _ in range(5):
                expected += 1
                assert client.recv(timeout=TIMEOUT) == f"{expected}"
            hub.leave(member)

    talking = [wire.run(talk) for _ in range(2)]
    try:
        for task in [wire.run(come_and_go, *pair) for pair in pairs]:
            task.result(TIMEOUT)
    finally:
        is_over.set()
    for task in talking:
        task.result(TIMEOUT)
    assert hub.is_deserted


def test_a_hub_is_not_deserted_during_the_flush_that_admits_a_member(wire: Wiring) -> None:
    """A thread that asks during the flush would otherwise skip its message."""
    hub = Hub()
    flushing: list[Future[None]] = []

    class Members(dict[Any, None]):
        """A dictionary whose truth test gives another thread time to flush."""

        def __bool__(self) -> bool:
            is_not_empty = len(self) > 0
            if not flushing:
                flushing.append(wire.run(hub.flush))
                wait(flushing, 0.2)
            return is_not_empty

    hub._members = Members()
    member, _ = wire.pair()
    hub.admit(member)
    assert not hub.is_deserted
    flushing[0].result(TIMEOUT)
    assert member in hub
