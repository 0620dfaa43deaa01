"""The page and its rooms: however they are written, and whether or not one may be in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.server.command import Command, Served, running
from tests.web.page.between import enter, refuse, someone
from tests.web.page.wiring import SECRET, Guest, Windows, http
from wschat.chat.tokens import mint

PHONE = {"width": 375, "height": 667}


@pytest.fixture(scope="module")
def server() -> Iterator[Command]:
    """One for all, as each test has rooms of its own."""
    with running("--port", "0", "--history", "memory", "--rate", "off") as server:
        yield server


def is_shown(guest: Guest, room: str) -> None:
    """Wait until a room is, by its title and in the list, and the address names it and no other."""
    expect(guest.page.get_by_role("heading", name=room, exact=True)).to_be_visible()
    expect(guest.page.locator("#joined [aria-current]")).to_have_text(re.compile(f"^{room}"))
    assert guest.page.evaluate("decodeURIComponent(location.hash)") == f"#/{room}"


def rooms_of(guest: Guest) -> list[str]:
    return guest.page.locator("#joined bdi").all_text_contents()


def hears_itself(guest: Guest, text: str) -> None:
    guest.say(text)
    expect(guest.message(text).get_by_role("img", name="Sent", exact=True)).to_be_visible()


def test_a_room_is_one_however_it_is_written_while_there_is_no_connection(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), "tea")
    between.is_silent = True
    between.cut()
    expect(alice.page.get_by_role("status")).to_contain_text("Connecting")
    alice.join("Tea")
    alice.rooms.get_by_role("link", name="tea", exact=True).click()
    between.is_silent = False
    between.cut()
    hears_itself(alice, "one room")
    assert rooms_of(alice) == ["tea"]


@pytest.mark.parametrize(("written", "room"), [("NÉOS", "néos"), ("νέος", "νέοσ"), ("straße", "strasse"), ("ꭰꭱ", "ᎠᎡ")])
def test_an_address_leads_to_its_room_however_it_is_written(server: Served, windows: Windows, written: str, room: str) -> None:
    alice = windows.enter(server, someone(), written)
    is_shown(alice, room)
    alice.page.goto("about:blank")
    alice.page.goto(f"{http(server)}#/{written}")
    is_shown(alice, room)
    hears_itself(alice, written)
    assert rooms_of(alice) == [room]


def test_a_room_may_be_named_in_other_ways_than_the_page_does(server: Served, windows: Windows) -> None:
    for address in ("#team", "#/team", "rooms/team", "rooms/Team/", "?room=team"):
        alice = Guest(windows.open(f"{http(server)}{address}"))
        alice.take_name(someone())
        is_shown(alice, "team")
        assert alice.page.url == f"{http(server)}#/team"
        alice.page.evaluate("location.hash = '#tea'")
        is_shown(alice, "tea")


def test_an_address_that_leads_to_no_room_leads_to_another_one(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, someone(), "hello%20world")
    is_shown(alice, "lobby")
    expect(alice.log.locator(".error")).to_contain_text("A room name has")
    hears_itself(alice, "here, then")
    assert rooms_of(alice) == ["lobby"]


def test_a_link_to_a_room_that_one_may_not_be_in_can_be_tried_again(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, someone())
    for times in (1, 2):
        alice.page.evaluate("location.hash = '#/two%20words'")
        expect(alice.log.locator(".error")).to_have_count(times)
        is_shown(alice, "lobby")


def test_who_leaves_a_room_does_not_come_back_to_it(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, someone())
    alice.join("coffee")
    is_shown(alice, "coffee")
    alice.page.get_by_role("button", name="Leave").click()
    is_shown(alice, "lobby")
    alice.page.reload()
    is_shown(alice, "lobby")
    assert rooms_of(alice) == ["lobby"]


def test_who_may_be_in_some_rooms_only_comes_to_one_of_them(guarded: Served, windows: Windows) -> None:
    addresses = [f"{http(guarded)}#token={mint(SECRET, name, rooms=['team-*'])}" for name in ("alice", "bob")]
    alice = Guest(windows.open(addresses[0]))
    expect(alice.page.get_by_role("heading", name="no room")).to_be_visible()
    expect(alice.log).to_contain_text("You have no access to lobby.")
    expect(alice.field).to_be_disabled()
    assert rooms_of(alice) == []
    alice.join("team-a")
    is_shown(alice, "team-a")
    hears_itself(alice, "Hello team!")
    bob = Guest(windows.open(addresses[1]))
    is_shown(bob, "team-a")
    bob.hears("Hello team!")
    bob.say("/leave")
    expect(bob.page.get_by_role("heading", name="no room")).to_be_visible()
    assert rooms_of(bob) == []


def test_a_drawer_closes_when_something_is_chosen_in_it(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, someone(), viewport=PHONE)
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


def test_what_was_read_in_one_tab_is_not_new_in_another(server: Served, windows: Windows) -> None:
    bob = windows.enter(server, someone(), "milk")
    first = windows.enter(server, someone(), "milk")
    second = Guest(first.page.context.new_page())
    second.page.goto(f"{http(server)}#/sugar")
    second.take_name(someone())
    first.join("sugar")
    is_shown(first, "sugar")
    bob.say("new")
    for tab in (first, second):
        expect(tab.rooms.get_by_role("link", name=re.compile("milk.*1"))).to_be_visible()
    second.rooms.get_by_role("link", name=re.compile("milk")).click()
    second.hears("new")
    expect(first.rooms.get_by_role("link", name=re.compile("milk.*1"))).to_have_count(0)


def test_who_leaves_a_room_before_having_been_let_in_is_out(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), "honey")
    alice.join("jam")
    is_shown(alice, "jam")
    between.faults.append(refuse("unavailable", type="join", room="jam"))
    between.cut()
    expect(alice.log).to_contain_text("Trying again")
    alice.page.get_by_role("button", name="Leave").click()
    is_shown(alice, "honey")
    between.wait_for("leave", 2)
    between.wait_for_answers()
    assert rooms_of(alice) == ["honey"]
