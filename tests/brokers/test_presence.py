"""`LocalPresence`: the members of rooms, with a count of their sessions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.concurrency import TIMEOUT
from wschat.brokers.presence import LocalPresence


def test_a_member_added_several_times_stays_until_it_is_removed_as_often() -> None:
    presence = LocalPresence()
    assert [presence.add_member("lobby", "alice") for _ in range(3)] == [True, False, False]
    assert presence.members("lobby") == ["alice"]
    assert [presence.remove_member("lobby", "alice") for _ in range(3)] == [False, False, True]
    assert presence.members("lobby") == []


def test_members_are_in_order_of_arrival_and_adding_one_again_does_not_move_it() -> None:
    presence = LocalPresence()
    for member in ("carol", "alice", "bob", "alice", "carol"):
        presence.add_member("lobby", member)
    assert presence.members("lobby") == ["carol", "alice", "bob"]
    presence.remove_member("lobby", "carol")
    assert presence.members("lobby") == ["carol", "alice", "bob"]
    presence.remove_member("lobby", "carol")
    presence.add_member("lobby", "carol")
    assert presence.members("lobby") == ["alice", "bob", "carol"]


def test_names_that_differ_in_any_character_are_different() -> None:
    presence = LocalPresence()
    for name in ("", "a", "A", "a\0", "é", "e\u0301"):
        assert presence.add_member(name, "alice")
        assert presence.add_member("lobby", name)
    assert presence.members("lobby") == ["", "a", "A", "a\0", "é", "e\u0301"]
    assert presence.remove_member("a", "alice")
    assert (presence.members("a"), presence.members("A")) == ([], ["alice"])


def test_members_returns_a_copy() -> None:
    presence = LocalPresence()
    presence.add_member("lobby", "alice")
    members = presence.members("lobby")
    presence.add_member("lobby", "bob")
    assert members == ["alice"]


def test_empty_rooms_take_no_memory() -> None:
    presence = LocalPresence()
    for number in range(10):
        presence.add_member(f"{number}", "alice")
        presence.remove_member(f"{number}", "alice")
        presence.members(f"unknown {number}")
    assert not presence._members


def test_of_concurrent_additions_one_is_the_first_and_of_removals_one_the_last() -> None:
    presence = LocalPresence()
    threads = 8
    barrier = threading.Barrier(threads)

    def add_and_remove() -> tuple[int, int]:
        barrier.wait(TIMEOUT)
        added = sum(presence.add_member("lobby", "alice") for _ in range(500))
        barrier.wait(TIMEOUT)
        assert presence.members("lobby") == ["alice"]
        barrier.wait(TIMEOUT)
        return added, sum(presence.remove_member("lobby", "alice") for _ in range(500))

    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(add_and_remove) for _ in range(threads)]
        counts = [task.result(TIMEOUT) for task in tasks]
    assert (sum(added for added, _ in counts), sum(removed for _, removed in counts)) == (1, 1)
    assert presence.members("lobby") == []
