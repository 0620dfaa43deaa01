"""The list of messages: what is seen of it, what counts as read, and what the page puts between the messages."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

import wschat
from tests.server.command import Command
from tests.web.page.test_looks import PHONE
from tests.web.page.wiring import Guest, Windows

TALL = "so much" + "\n" * 20 + "that it has to be scrolled"


def look_elsewhere(page: Page) -> None:
    """Have a page hidden, as that of another tab is."""
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")


def look_here(page: Page) -> None:
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")


def scroll_up(guest: Guest) -> None:
    """Look at what was said before, and not at the newest."""
    guest.say(TALL)
    guest.hears(TALL)
    guest.say("the last")
    expect(guest.message("the last")).to_be_in_viewport()
    guest.log.evaluate("log => log.scrollTo(0, 0)")
    expect(guest.page.get_by_role("button", name="To the newest")).to_be_visible()


def test_a_whisper_that_is_out_of_sight_is_counted(server: Command, windows: Windows) -> None:
    small = {"viewport": {"width": 1100, "height": 400}}
    bob, alice = windows.enter(server, "bob"), windows.enter(server, "alice", **small)
    alice.say("/join tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    scroll_up(alice)
    bob.say("/msg alice It is a secret.")
    newest = alice.page.get_by_role("button", name="1 new message")
    expect(newest).to_be_visible()
    lobby, tea = (alice.rooms.get_by_role("link", name=re.compile(f"^{name}")) for name in ("lobby", "tea"))
    lobby.click()
    expect(tea).to_have_accessible_name(re.compile("1 unread"))
    tea.click()
    newest.click()
    expect(alice.log.locator(".whisper")).to_be_in_viewport()
    expect(tea).to_have_accessible_name("tea")


def test_whispers_count_in_the_title_of_a_hidden_page(server: Command, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    look_elsewhere(alice.page)
    bob.say("/msg alice It is a secret.")
    expect(alice.page).to_have_title(re.compile(r"^\(1\) "))
    bob.say("Said to all.")
    expect(alice.page).to_have_title(re.compile(r"^\(2\) "))
    look_here(alice.page)
    expect(alice.page).to_have_title(re.compile(r"^lobby"))


def test_names_that_are_written_from_right_to_left_turn_nothing_else_round(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    guests = [windows.enter(server, name) for name in ("אבג-123", "דהו-456")]
    news = alice.log.locator(".news")
    expect(news).to_have_text("אבג-123 has joined. דהו-456 has joined.")
    expect(news.locator(".text")).to_have_css("direction", "ltr")
    first, second = (news.get_by_text(name, exact=True).bounding_box() for name in ("אבג-123", "דהו-456"))
    assert first
    assert second
    assert first["x"] < second["x"]
    guests[0].field.press_sequentially("x")
    guests[1].field.press_sequentially("x")
    typing = alice.page.locator("#typing")
    expect(typing).to_have_text("אבג-123 and דהו-456 are typing")
    first, second = (typing.get_by_text(name, exact=True).bounding_box() for name in ("אבג-123", "דהו-456"))
    assert first
    assert second
    assert first["x"] < second["x"]


def test_what_goes_wrong_is_read_aloud_whatever_is_said_meanwhile(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    expect(alice.page.get_by_role("status")).to_be_attached()  # even now that it has nothing to say
    alice.say("/nonsense")
    with wschat.connect(server.url) as bot:
        for number in range(10):
            bot.send(f"number {number}")
        alice.hears("number 9")
    expect(alice.page.locator("[aria-live=polite]")).to_contain_text("There is no command /nonsense")


def test_the_time_and_the_author_of_a_message_that_goes_on_are_there_for_everybody(server: Command, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob", **PHONE)
    alice.say("one")
    alice.say("two")
    for guest in (alice, bob):
        guest.hears("two")
        expect(guest.message("two")).to_have_class("message goes-on")
        expect(guest.message("two")).to_contain_text("alice")
    expect(bob.message("two").locator("time")).to_have_css("opacity", "1")
    time = alice.message("two").locator("time")
    expect(time).to_have_css("opacity", "0")
    alice.message("two").hover()
    expect(time).to_have_css("opacity", "1")
    alice.field.hover()
    expect(time).to_have_css("opacity", "0")
    alice.field.press("Shift")
    alice.log.focus()  # as by the Tab key: it was a key that was used last
    expect(time).to_have_css("opacity", "1")


def test_a_long_name_of_a_room_stays_in_the_window_of_a_phone(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice", "m" * 32, **PHONE)
    edge = alice.log.get_by_text("Nothing has been said in")
    expect(edge).to_be_visible()
    assert alice.log.evaluate("log => log.scrollWidth <= log.clientWidth")
    box = edge.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375


def test_a_room_keeps_its_place_and_its_count_however_much_comes_elsewhere(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    scroll_up(alice)
    alice.rooms.get_by_label("Room to join").fill("tea")
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    with wschat.connect(server.url) as bot:
        bot.recv()  # Welcome!
        for _ in range(51):
            for number in range(100):
                bot.send(f"number {number}")
            for _ in range(100):
                bot.recv()
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    expect(lobby).to_have_accessible_name(re.compile(r"999\+ unread"))
    lobby.click()
    expect(alice.page.get_by_role("button", name="5,100 new messages")).to_be_visible()
    expect(alice.message(TALL)).to_be_in_viewport()
