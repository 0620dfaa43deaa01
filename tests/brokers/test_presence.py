"""Who is in which room, counted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.connection.wiring import PATIENCE
from wschat.brokers.presence import LocalPresence


def test_who_came_twice_is_there_until_it_has_left_twice() -> None:
    presence = LocalPresence()
    assert [presence.add_member("lobby", "alice") for _ in range(3)] == [True, False, False]
    assert presence.members("lobby") == ["alice"]
    assert [presence.remove_member("lobby", "alice") for _ in range(3)] == [False, False, True]
    assert presence.members("lobby") == []


def test_whoever_came_first_is_first_and_to_come_twice_changes_nothing() -> None:
    presence = LocalPresence()
    for member in ("carol", "alice", "bob", "alice", "carol"):
        presence.add_member("lobby", member)
    assert presence.members("lobby") == ["carol", "alice", "bob"]
    presence.remove_member("lobby", "carol")
    assert presence.members("lobby") == ["carol", "alice", "bob"]
    presence.remove_member("lobby", "carol")
    presence.add_member("lobby", "carol")
    assert presence.members("lobby") == ["alice", "bob", "carol"]


def test_rooms_and_members_are_told_apart_as_they_are_written() -> None:
    presence = LocalPresence()
    for name in ("", "a", "A", "a\0", "é", "e\u0301"):
        assert presence.add_member(name, "alice")
        assert presence.add_member("lobby", name)
    assert presence.members("lobby") == ["", "a", "A", "a\0", "é", "e\u0301"]
    assert presence.remove_member("a", "alice")
    assert (presence.members("a"), presence.members("A")) == ([], ["alice"])


def test_the_list_is_that_of_its_moment() -> None:
    presence = LocalPresence()
    presence.add_member("lobby", "alice")
    members = presence.members("lobby")
    presence.add_member("lobby", "bob")
    assert members == ["alice"]


def test_rooms_that_are_empty_again_or_were_only_asked_for_take_no_memory() -> None:
    presence = LocalPresence()
    for number in range(10):
        presence.add_member(f"{number}", "alice")
        presence.remove_member(f"{number}", "alice")
        presence.members(f"unknown {number}")
    assert not presence._members


def test_of_all_who_come_and_go_at_once_one_is_the_first_and_one_the_last() -> None:
    presence = LocalPresence()
    threads = 8
    together = threading.Barrier(threads)

    def come_and_go() -> tuple[int, int]:
        together.wait(PATIENCE)
        came = sum(presence.add_member("lobby", "alice") for _ in range(500))
        together.wait(PATIENCE)
        assert presence.members("lobby") == ["alice"]
        together.wait(PATIENCE)
        return came, sum(presence.remove_member("lobby", "alice") for _ in range(500))

    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(come_and_go) for _ in range(threads)]
        counts = [task.result(PATIENCE) for task in tasks]
    assert (sum(came for came, _ in counts), sum(went for _, went in counts)) == (1, 1)
    assert presence.members("lobby") == []
