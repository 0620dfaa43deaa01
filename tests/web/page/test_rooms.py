"""Rooms on the page: spellings of their names, their addresses, joining, leaving, and rooms without access."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.server.command import Command, Served, running
from tests.web.page.faulty_network import enter, new_name, refuse
from tests.web.page.wiring import SECRET, Guest, Windows, http
from wschat.chat.tokens import mint

PHONE = {"width": 375, "height": 667}


@pytest.fixture(scope="module")
def server() -> Iterator[Command]:
    """One server for all tests of this module, as each test has rooms of its own."""
    with running("--port", "0", "--history", "memory", "--rate", "off") as server:
        yield server


def expect_room(guest: Guest, room: str) -> None:
    """Wait until the title, the list of rooms and the address all name this room."""
    expect(guest.page.get_by_role("heading", name=room, exact=True)).to_be_visible()
    expect(guest.page.locator("#joined [aria-current]")).to_have_text(re.compile(f"^{room}"))
    assert guest.page.evaluate("decodeURIComponent(location.hash)") == f"#/{room}"


def rooms_of(guest: Guest) -> list[str]:
    return guest.page.locator("#joined bdi").all_text_contents()


def test_two_spellings_of_a_room_are_one_room_even_without_a_connection(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), "tea")
    network.is_silent = True
    network.cut()
    expect(alice.page.get_by_role("status")).to_contain_text("Connecting")
    alice.join("Tea")
    alice.rooms.get_by_role("link", name="tea", exact=True).click()
    network.is_silent = False
    network.cut()
    alice.say_and_wait("one room")
    assert rooms_of(alice) == ["tea"]


@pytest.mark.parametrize(("written", "room"), [("NÉOS", "néos"), ("νέος", "νέοσ"), ("straße", "strasse"), ("ꭰꭱ", "ᎠᎡ")])
def test_an_address_opens_its_room_in_any_spelling(server: Served, windows: Windows, written: str, room: str) -> None:
    alice = windows.enter(server, new_name(), written)
    expect_room(alice, room)
    alice.page.goto("about:blank")
    alice.page.goto(f"{http(server)}#/{written}")
    expect_room(alice, room)
    alice.say_and_wait(written)
    assert rooms_of(alice) == [room]


def test_several_forms_of_address_name_a_room(server: Served, windows: Windows) -> None:
    for address in ("#team", "#/team", "rooms/team", "rooms/Team/", "?room=team"):
        alice = Guest(windows.open(f"{http(server)}{address}"))
        alice.take_name(new_name())
        expect_room(alice, "team")
        assert alice.page.url == f"{http(server)}#/team"
        alice.page.evaluate("location.hash = '#tea'")
        expect_room(alice, "tea")


def test_an_address_with_an_invalid_room_opens_the_lobby(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, new_name(), "hello%20world")
    expect_room(alice, "lobby")
    expect(alice.log.locator(".error")).to_contain_text("A room name has")
    alice.say_and_wait("here, then")
    assert rooms_of(alice) == ["lobby"]


def test_a_link_to_an_invalid_room_can_be_followed_again(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, new_name())
    for times in (1, 2):
        alice.page.evaluate("location.hash = '#/two%20words'")
        expect(alice.log.locator(".error")).to_have_count(times)
        expect_room(alice, "lobby")


def test_a_room_that_was_left_is_not_rejoined_after_a_reload(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, new_name())
    alice.join("coffee")
    expect_room(alice, "coffee")
    alice.page.get_by_role("button", name="Leave").click()
    expect_room(alice, "lobby")
    alice.page.reload()
    expect_room(alice, "lobby")
    assert rooms_of(alice) == ["lobby"]


def test_a_user_without_access_to_the_lobby_joins_an_accessible_room(guarded: Served, windows: Windows) -> None:
    addresses = [f"{http(guarded)}#token={mint(SECRET, name, rooms=['team-*'])}" for name in ("alice", "bob")]
    alice = Guest(windows.open(addresses[0]))
    expect(alice.page.get_by_role("heading", name="no room")).to_be_visible()
    expect(alice.log).to_contain_text("You have no access to lobby.")
    expect(alice.field).to_be_disabled()
    assert rooms_of(alice) == []
    alice.join("team-a")
    expect_room(alice, "team-a")
    alice.say_and_wait("Hello team!")
    bob = Guest(windows.open(addresses[1]))
    expect_room(bob, "team-a")
    bob.hears("Hello team!")
    bob.say("/leave")
    expect(bob.page.get_by_role("heading", name="no room")).to_be_visible()
    assert rooms_of(bob) == []


def test_a_drawer_closes_after_a_choice(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, new_name(), viewport=PHONE)
    open_rooms = alice.page.get_by_role("button", name="Rooms")
    lobby = alice.rooms.get_by_role("link", name="lobby")
    open_rooms.click()
    lobby.click()
    expect(alice.rooms).to_be_hidden()
    open_rooms.click()
    expect(lobby).to_be_focused()
    alice.join("no such room")
    expect(alice.rooms).to_be_hidden()
    expect(alice.log.locator(".error")).to_be_in_viewport()


def test_messages_read_in_one_tab_are_not_unread_in_another(server: Served, windows: Windows) -> None:
    bob = windows.enter(server, new_name(), "milk")
    first = windows.enter(server, new_name(), "milk")
    second = Guest(first.page.context.new_page())
    second.page.goto(f"{http(server)}#/sugar")
    second.take_name(new_name())
    first.join("sugar")
    expect_room(first, "sugar")
    bob.say("new")
    for tab in (first, second):
        expect(tab.rooms.get_by_role("link", name=re.compile("milk.*1"))).to_be_visible()
    second.rooms.get_by_role("link", name=re.compile("milk")).click()
    second.hears("new")
    expect(first.rooms.get_by_role("link", name=re.compile("milk.*1"))).to_have_count(0)


def test_a_room_can_be_left_while_its_join_is_being_retried(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), "honey")
    alice.join("jam")
    expect_room(alice, "jam")
    network.faults.append(refuse("unavailable", type="join", room="jam"))
    network.cut()
    expect(alice.log).to_contain_text("Trying again")
    alice.page.get_by_role("button", name="Leave").click()
    expect_room(alice, "honey")
    network.wait_for("leave", 1)  # after the reply to the join
    network.wait_for_answers()
    assert rooms_of(alice) == ["honey"]
