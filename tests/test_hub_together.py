"""`flush_together`: one write for each member of several hubs, and every hub keeps its order."""

from __future__ import annotations

import threading

from tests.concurrency import TIMEOUT
from tests.connection.wiring import Wiring
from wschat.connection.connection import Connection
from wschat.hub import Hub, flush_together


class Counting:
    """A member that counts its offers and passes them to a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.encoding = connection.encoding
        self.offers = 0

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        self.offers += 1
        self._connection.offer(frames, is_droppable=is_droppable)


def member_of(wire: Wiring, *hubs: Hub) -> tuple[Counting, Connection]:
    connection, client = wire.pair()
    member = Counting(connection)
    for hub in hubs:
        hub.join(member)
    return member, client


def texts(client: Connection, count: int) -> list[str | bytes]:
    return [client.recv(timeout=TIMEOUT) for _ in range(count)]


def test_a_member_of_many_hubs_gets_one_offer(wire: Wiring) -> None:
    hubs = [Hub() for _ in range(10)]
    of_all, client = member_of(wire, *hubs)
    of_one, other = member_of(wire, hubs[3])
    for number, hub in enumerate(hubs):
        hub.add(f"{number} a")
        hub.add(f"{number} b")
    flush_together(hubs)
    assert (of_all.offers, of_one.offers) == (1, 1)
    assert texts(client, 20) == [f"{number} {letter}" for number in range(10) for letter in "ab"]
    assert texts(other, 2) == ["3 a", "3 b"]


def test_replies_admissions_and_exclusions_are_respected(wire: Wiring) -> None:
    one, two = Hub(), Hub()
    member, client = member_of(wire, one, two)
    late, other = member_of(wire, two)
    one.add("not for the late")
    one.admit(late, "welcome")
    one.add("for both")
    one.add_for(member, "for you")
    two.add("excluded", exclude=[member])
    flush_together([one, two])
    assert texts(client, 3) == ["not for the late", "for both", "for you"]
    assert sorted(map(str, texts(other, 3))) == ["excluded", "for both", "welcome"]


def test_a_hub_that_another_thread_flushes_is_skipped(wire: Wiring) -> None:
    one, two = Hub(), Hub()
    _, client = member_of(wire, one, two)
    one.add("1")
    two.add("2")
    with one._flush_lock:  # as if another thread were flushing
        flush_together([one, two])
        assert texts(client, 1) == ["2"]
    one.flush()
    assert texts(client, 1) == ["1"]


def test_each_hub_keeps_its_order_while_several_threads_flush(wire: Wiring) -> None:
    hubs = [Hub() for _ in range(3)]
    _, client = member_of(wire, *hubs)
    rounds = 200

    def broadcast(hub: Hub, place: int) -> None:
        for number in range(rounds):
            with locks[place]:
                hub.add(f"{place} {next_of(place)}")
            if number % 2:
                hub.send_soon()
            else:
                flush_together(hubs)

    locks = [threading.Lock() for _ in hubs]
    counts = [0] * len(hubs)

    def next_of(place: int) -> int:
        counts[place] += 1
        return counts[place]

    tasks = [wire.run(broadcast, hub, place) for place, hub in enumerate(hubs) for _ in range(2)]
    received = [str(text).split() for text in texts(client, 2 * rounds * len(hubs))]
    for task in tasks:
        task.result(TIMEOUT)
    for place in range(len(hubs)):
        assert [int(number) for of, number in received if of == str(place)] == list(range(1, 2 * rounds + 1))
