"""Those who are admitted to a hub: first a greeting, then all that was added after it, and nothing from before."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import pytest

from tests.connection.wiring import PATIENCE, Wiring, eventually, narrow_sockets
from tests.protocol.wire import CLOSE, TEXT
from wschat.connection.connection import Connection
from wschat.errors import UsageError
from wschat.hub import Hub
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate

END = "end"
# For those whose threads this machine may not get round to for a while.
UNHURRIED = Limits(outbox_bytes=0, outbox_seconds=0)


@pytest.fixture
def wire() -> Iterator[Wiring]:
    with contextlib.closing(Wiring()) as wiring:
        yield wiring


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Threads take turns at every opportunity, not only every few milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def tell(hub: Hub, message: str | bytes) -> None:
    """Broadcast, and not only at the end of a turn that the test's thread may be in since it last received something."""
    hub.add(message)
    hub.flush()


def until_end(client: Connection) -> list[str | bytes]:
    """What it receives before the end that is broadcast."""
    messages: list[str | bytes] = []
    while (message := client.recv(timeout=PATIENCE)) != END:
        messages.append(message)
    return messages


def test_who_is_admitted_gets_the_greeting_and_then_what_is_added(wire: Wiring) -> None:
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
    assert [client.recv(timeout=PATIENCE), client.recv(timeout=PATIENCE)] == [greeting, "long " * 100]


def test_without_a_greeting_there_is_only_what_is_added(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.add("before")
    hub.admit(member)
    hub.flush()
    assert list(hub) == [member]
    hub.broadcast(END)
    assert until_end(client) == []


def test_it_takes_effect_with_the_next_flush(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.admit(member, "greeting")
    assert (len(hub), member in hub, list(hub)) == (0, False, [])
    hub.flush()
    assert (len(hub), member in hub, list(hub)) == (1, True, [member])
    assert client.recv(timeout=PATIENCE) == "greeting"


def test_each_of_several_gets_its_own_greeting_and_what_came_after_it(wire: Wiring) -> None:
    """All in one flush, with members who were there before."""
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


def test_what_excludes_somebody_does_so_from_the_beginning(wire: Wiring) -> None:
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


def test_who_is_not_wanted_to_get_its_own_arrival_can_be_excluded_from_it(wire: Wiring) -> None:
    hub = Hub()
    steady, old = wire.pair()
    hub.join(steady)
    member, client = wire.pair()
    hub.admit(member, "welcome")
    hub.broadcast("somebody came", exclude=[member])
    hub.broadcast(END)
    assert (until_end(old), until_end(client)) == (["somebody came"], ["welcome"])


def test_who_leaves_before_the_flush_was_never_there(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.admit(member, "greeting")
    hub.add("one")
    hub.leave(member)
    hub.flush()
    assert (len(hub), hub.is_deserted) == (0, True)
    tell(hub, "two")
    member.send(END)
    assert until_end(client) == []


def test_who_leaves_and_is_admitted_again_before_the_flush_gets_what_came_after_the_last_time(wire: Wiring) -> None:
    """Between the two it was not in: what was added then is not for it, and the first greeting tells of a state that is gone."""
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


def test_who_was_a_member_and_left_can_be_admitted(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    hub.join(member)
    tell(hub, "one")
    hub.leave(member)
    tell(hub, "two")
    hub.admit(member, "greeting")
    tell(hub, "three")
    hub.leave(member)
    tell(hub, "four")
    member.send(END)
    assert until_end(client) == ["one", "greeting", "three"]


def test_a_hub_is_deserted_when_nobody_is_in_it_nor_about_to_be(wire: Wiring) -> None:
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


def test_whoever_is_let_in_just_now_is_either_about_to_be_in_or_in(wire: Wiring, switching_often: None) -> None:
    """There is no moment in between at which the hub looks deserted, so that nothing is added, or it is thrown away."""
    hub = Hub()
    member, _ = wire.pair()
    visit = 0  # which one it is, or 0 while the member may be out
    is_over = threading.Event()

    def look() -> int:
        while not is_over.is_set():
            before = visit
            if hub.is_deserted and before and visit == before:
                return before
        return 0

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
    assert [task.result(PATIENCE) for task in looking] == [0, 0], "in these visits it looked deserted"


@pytest.mark.parametrize("greeting", [1, ["a"], {"a": 1}, "\ud800"])
def test_a_greeting_that_is_no_message_is_the_callers_error_and_harms_nobody(wire: Wiring, greeting: Any) -> None:
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


def test_a_buffer_may_be_used_again_after_the_admission(wire: Wiring) -> None:
    hub = Hub()
    member, client = wire.pair()
    buffer = bytearray(b"before")
    hub.admit(member, buffer)  # type: ignore[arg-type]  # it is taken all the same
    buffer[:] = b"after"
    hub.flush()
    assert client.recv(timeout=PATIENCE) == b"before"


def test_who_is_gone_before_it_is_let_in_harms_nobody(wire: Wiring) -> None:
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


def test_one_who_has_no_room_for_its_greeting_is_evicted_and_the_others_do_not_notice(wire: Wiring) -> None:
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


def test_who_is_admitted_while_another_thread_flushes_is_let_in_by_that_one(wire: Wiring) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow(Hub):
        def _deliver(self, pending: Any) -> None:
            begun.set()
            assert may_go_on.wait(PATIENCE)
            super()._deliver(pending)

    hub = Slow()
    steady, old = wire.pair()
    hub.join(steady)
    flushing = wire.run(hub.broadcast, "before")
    assert begun.wait(PATIENCE)
    member, client = wire.pair()
    hub.admit(member, "greeting")
    hub.add("one")
    hub.flush()  # does not wait for the other thread
    assert member not in hub
    may_go_on.set()
    flushing.result(PATIENCE)
    assert member in hub
    tell(hub, END)
    assert until_end(client) == ["greeting", "one"]
    assert until_end(old) == ["before", "one"]


def test_an_answer_is_for_one_only_and_comes_after_what_was_added_before(wire: Wiring) -> None:
    hub = Hub()
    (one, at_one), (two, at_two), (stranger, at_stranger) = (wire.raw() for _ in range(3))
    hub.join(one)
    hub.admit(two, "greeting")
    hub.add("before")
    for connection, name in ((one, "one"), (two, "two"), (stranger, "stranger")):
        hub.add_for(connection, f"for {name}")
        hub.add_for(connection, f"and again for {name}")
    hub.flush()
    hub.broadcast("after")
    assert [at_one.frame()[1] for _ in range(4)] == [b"before", b"for one", b"and again for one", b"after"]
    assert [at_two.frame()[1] for _ in range(5)] == [b"greeting", b"before", b"for two", b"and again for two", b"after"]
    assert [at_stranger.frame()[1] for _ in range(2)] == [b"for stranger", b"and again for stranger"]
    with pytest.raises(UsageError):
        hub.add_for(one, "\ud800")


def test_who_leaves_before_it_is_let_in_is_named_the_greeting_that_it_does_not_get(wire: Wiring) -> None:
    hub = Hub()
    member, peer = wire.raw()
    hub.admit(member, "greeting")
    assert hub.leave(member) == "greeting"
    assert hub.leave(member) is None
    hub.broadcast("nobody hears this")
    hub.admit(member, "anew")
    hub.flush()
    assert hub.leave(member) is None  # it has got it
    assert peer.frame()[1] == b"anew"


def test_what_drops_the_oldest_broadcasts_of_a_slow_peer_keeps_greetings_and_answers(wire: Wiring) -> None:
    hub = Hub()
    member, peer = wire.raw(narrow_sockets(), limits=Limits(outbox_bytes=200_000, outbox_seconds=0, slow_peer="drop-oldest"))
    hub.join(member)
    hub.broadcast("x" * 50_000)  # more than the system keeps for a peer that does not read
    hub.add_for(member, "an answer")
    hub.flush()
    for number in range(100):
        hub.broadcast(f"{number} " + "y" * 10_000)
    received: list[bytes] = []
    while not received or not received[-1].startswith(b"99 "):
        received.append(peer.frame()[1])
    assert b"an answer" in received
    assert len(received) < 100


def test_in_a_turn_an_admission_keeps_its_place(wire: Wiring) -> None:
    """A member that pipelines: what its thread adds and whom it lets in leaves at the end of the turn, in that order."""
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


def test_nobody_misses_anything_or_gets_it_twice_whenever_it_is_admitted(wire: Wiring) -> None:
    """A greeting says up to which number all is known, as a history does: from there on everybody gets every number once."""
    hub = Hub()
    deciding = threading.Lock()  # guards the one below, and the order of what is added to the hub
    last = 0
    pairs = [wire.pair(limits=UNHURRIED) for _ in range(24)]
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
            eventually(partial(has_passed, seen + 50))  # so that they come all along

    received = [wire.run(until_end, client) for _, client in pairs]
    talking = [wire.run(talk) for _ in range(3)]
    try:
        for coming in [wire.run(come, [member for member, _ in pairs[first::4]]) for first in range(4)]:
            coming.result(PATIENCE)
    finally:
        all_are_in.set()
    for talker in talking:
        talker.result(PATIENCE)
    tell(hub, END)
    for messages in received:
        numbers = [int(number) for number in messages.result(PATIENCE)]
        assert numbers == list(range(numbers[0], last + 1))
    assert set(hub) == {member for member, _ in pairs}


def test_who_begins_anew_again_and_again_gets_the_last_greeting_and_all_from_there_on(wire: Wiring) -> None:
    """As one who asks for the past of a room that it is in: out and in again at once, while others talk."""
    hub = Hub()
    deciding = threading.Lock()  # guards the one below, and the order of what is added to the hub
    last = 0
    is_over = threading.Event()
    times = 200
    pairs = [wire.pair(limits=UNHURRIED) for _ in range(4)]

    def talk() -> None:
        nonlocal last
        while not is_over.is_set():
            with deciding:
                last += 1
                hub.add(f"{last}")
            hub.send_soon()

    def begin_anew(member: Connection) -> None:
        for time in range(times):
            with deciding:
                hub.leave(member)
                hub.admit(member, f"greeting {time} {last}")
            hub.flush()

    received = [wire.run(until_end, client) for _, client in pairs]
    talking = [wire.run(talk) for _ in range(2)]
    try:
        for task in [wire.run(begin_anew, member) for member, _ in pairs]:
            task.result(PATIENCE)
    finally:
        is_over.set()
    for talker in talking:
        talker.result(PATIENCE)
    tell(hub, END)
    for messages in received:
        greeting, expected = 0, 0
        for message in map(str, messages.result(PATIENCE)):
            if message.startswith("greeting"):
                greeting, expected = (int(number) for number in message.split()[1:])
            else:
                expected += 1
                assert message == f"{expected}"
        assert (greeting, expected) == (times - 1, last)


def test_they_come_and_go_while_others_talk(wire: Wiring) -> None:
    """From each greeting on it is every number, until the next greeting; what was on its way when it left may still come."""
    hub = Hub()
    deciding = threading.Lock()  # guards the one below, and the order of what is added to the hub
    last = 0
    is_over = threading.Event()
    pairs = [wire.pair(limits=UNHURRIED) for _ in range(6)]

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
            greeting = str(client.recv(timeout=PATIENCE))
            while not greeting.startswith("greeting"):
                greeting = str(client.recv(timeout=PATIENCE))
            assert greeting.split()[1] == str(visit)
            expected = int(greeting.split()[2])
            for _ in range(5):
                expected += 1
                assert client.recv(timeout=PATIENCE) == f"{expected}"
            hub.leave(member)

    talking = [wire.run(talk) for _ in range(2)]
    try:
        for task in [wire.run(come_and_go, *pair) for pair in pairs]:
            task.result(PATIENCE)
    finally:
        is_over.set()
    for task in talking:
        task.result(PATIENCE)
    assert hub.is_deserted


def test_who_is_being_let_in_is_there_all_the_time(wire: Wiring) -> None:
    """Whoever asks just then must not find nobody, and leave out what is said."""
    hub = Hub()
    flushing: list[Future[None]] = []

    class Members(set[Any]):
        """Looked at, they give another thread the time to flush."""

        def __bool__(self) -> bool:
            is_somebody_here = len(self) > 0
            if not flushing:
                flushing.append(wire.run(hub.flush))
                wait(flushing, 0.2)
            return is_somebody_here

    hub._members = Members()
    member, _ = wire.pair()
    hub.admit(member)
    assert not hub.is_deserted
    flushing[0].result(PATIENCE)
    assert member in hub
