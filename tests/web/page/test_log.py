"""The log of messages: scrolling, unread counts, and the lines between messages."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from playwright.sync_api import Page, expect

import wschat
from tests.brokers.wiring import append
from tests.concurrency import TIMEOUT, eventually
from tests.server.command import Served, running
from tests.web.page.test_looks import PHONE
from tests.web.page.wiring import Guest, Windows, http
from wschat.brokers.base import Draft
from wschat.brokers.sqlite.broker import SqliteBroker

TALL = "so much" + "\n" * 20 + "that it has to be scrolled"


def hide(page: Page) -> None:
    """Hide a page, as when another tab is in front."""
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")


def show(page: Page) -> None:
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")


@contextlib.contextmanager
def chatting(server: Served, name: str) -> Iterator[wschat.Connection]:
    """A plain-text client in the lobby, which is faster than another window."""
    with wschat.connect(f"{server.url}?name={quote(name)}") as ws:
        ws.recv()  # the welcome
        yield ws


def scroll_up(guest: Guest) -> None:
    """Scroll up from the newest message to older ones."""
    guest.say(TALL)
    guest.hears(TALL)
    guest.say("the last")
    expect(guest.message("the last").get_by_role("img", name="Sent", exact=True)).to_be_in_viewport()
    guest.log.evaluate("log => log.scrollTo(0, 0)")
    expect(guest.page.get_by_role("button", name="Jump to latest")).to_be_visible()


def test_a_whisper_that_is_out_of_sight_is_counted(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", viewport={"width": 1100, "height": 400})
    alice.say("/join tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    scroll_up(alice)
    with chatting(server, "bob") as bob:
        bob.send("/msg alice It is a secret.")
    newest = alice.page.get_by_role("button", name="1 new message")
    expect(newest).to_be_visible()
    lobby, tea = (alice.rooms.get_by_role("link", name=re.compile(f"^{name}")) for name in ("lobby", "tea"))
    lobby.click()
    expect(tea).to_have_accessible_name(re.compile("1 unread"))
    tea.click()
    newest.click()
    expect(alice.log.locator(".whisper")).to_be_in_viewport()
    expect(tea).to_have_accessible_name("tea")


def test_whispers_count_in_the_title_of_a_hidden_page(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    hide(alice.page)
    with chatting(server, "bob") as bob:
        bob.send("/msg alice It is a secret.")
        expect(alice.page).to_have_title(re.compile(r"^\(1\) "))
        bob.send("Said to all.")
        expect(alice.page).to_have_title(re.compile(r"^\(2\) "))
    show(alice.page)
    expect(alice.page).to_have_title(re.compile(r"^lobby"))


def test_right_to_left_names_do_not_change_the_direction_of_sentences(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    names = ("אבג-123", "דהו-456")
    with contextlib.ExitStack() as guests:
        for name in names:
            guest = guests.enter_context(wschat.connect(f"{server.url}?name={quote(name)}", subprotocols=["wschat.v1"]))
            for request in ("join", "typing"):
                guest.send(json.dumps({"type": request, "room": "lobby"}))
            expect(alice.members).to_contain_text(name)
        news, typing = alice.log.locator(".news"), alice.page.locator("#typing")
        expect(news).to_have_text("אבג-123 and דהו-456 joined.")
        expect(typing).to_have_text("אבג-123 and דהו-456 are typing")
        expect(news.locator(".text")).to_have_css("direction", "ltr")
        for sentence in (news, typing):
            first, second = (sentence.get_by_text(name, exact=True).bounding_box() for name in names)
            assert first
            assert second
            assert first["x"] < second["x"]


def test_a_screen_reader_gets_errors_even_while_messages_arrive(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    expect(alice.page.get_by_role("status")).to_be_attached()  # even while it is empty
    alice.say("/nonsense")
    with chatting(server, "bob") as bob:
        for number in range(10):
            bob.send(f"number {number}")
        alice.hears("number 9")
    expect(alice.page.locator("[aria-live=polite]")).to_contain_text("command /nonsense")


def test_consecutive_messages_of_one_author_keep_author_and_time_accessible(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob", "lobby", **PHONE)
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
    alice.log.focus()  # as with the Tab key: the last input was a key
    expect(time).to_have_css("opacity", "1")


def test_a_long_name_of_a_room_fits_into_the_window_of_a_phone(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", "m" * 32, **PHONE)
    edge = alice.log.get_by_text("No messages in")
    expect(edge).to_be_visible()
    assert alice.log.evaluate("log => log.scrollWidth <= log.clientWidth")
    box = edge.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375


def test_a_room_in_the_background_keeps_its_scroll_position_and_unread_count(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    scroll_up(alice)
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    with chatting(server, "bob") as bob:
        for _ in range(51):
            for number in range(100):
                bob.send(f"number {number}")
            for _ in range(100):
                bob.recv()
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    expect(lobby).to_have_accessible_name(re.compile(r"999\+ unread"))
    lobby.click()
    expect(alice.page.get_by_role("button", name="5,100 new messages")).to_be_visible()
    expect(alice.message(TALL)).to_be_in_viewport()


def test_a_room_in_the_background_keeps_its_scroll_position_and_draft(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    for number in range(3):
        alice.say(f"{number}{TALL}")
        alice.hears(f"{number}{TALL}")
    expect(alice.log.locator("[data-seq]").last).to_be_in_viewport()
    alice.log.evaluate("log => log.scrollTo(0, 500)")
    expect(alice.page.get_by_role("button", name="Jump to latest")).to_be_visible()
    alice.field.fill("half a sen")
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    expect(alice.field).to_have_value("")
    alice.field.fill("tea, plea")
    for room, draft in (("lobby", "half a sen"), ("tea", "tea, plea"), ("lobby", "half a sen")):
        alice.rooms.get_by_role("link", name=room).click()
        expect(alice.field).to_have_value(draft)
    assert alice.log.evaluate("log => log.scrollTop") == 500


def test_messages_count_as_read_when_they_have_been_visible_at_the_bottom(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    scroll_up(alice)
    with chatting(server, "bob") as bob:
        bob.send("one")
        bob.send("two")
        expect(lobby).to_have_accessible_name("lobby 2 unread")
        alice.page.reload()  # which scrolls to the bottom
        alice.hears("two")
        expect(lobby).to_have_accessible_name("lobby")
        alice.log.evaluate("log => log.scrollTo(0, 0)")
        bob.send("three")
        alice.page.get_by_role("button", name="1 new message").click()
        expect(alice.message("three")).to_be_in_viewport()
        expect(lobby).to_have_accessible_name("lobby")
        hide(alice.page)
        bob.send("four")
        alice.hears("four")
        expect(lobby).to_have_accessible_name("lobby 1 unread")
        show(alice.page)
        expect(lobby).to_have_accessible_name("lobby")


def test_the_focus_stays_at_a_long_message_that_was_unfolded_by_keyboard(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("and so on " * 300 + "https://example.org/")
    button = alice.log.locator("[data-seq]").get_by_role("button", name="Show all")
    expect(button).to_be_in_viewport()
    button.focus()
    button.press("Enter")
    expect(button).to_have_count(0)
    expect(alice.log.locator("[data-seq] .text")).to_be_focused()
    link = alice.log.get_by_role("link")
    alice.page.keyboard.press("Tab")
    expect(link).to_be_focused()


def test_the_history_command_shows_actions_as_the_log_does(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    for text in ("Hello!", "/me jumps", "/history"):
        alice.say(text)
    expect(alice.log.locator(".notice")).to_have_text("alice: Hello!\nalice jumps\n", use_inner_text=False)


def test_own_messages_do_not_count_as_unread(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    alice.say("before")
    alice.hears("before")
    hide(alice.page)
    alice.say("mine")
    alice.hears("mine")
    with chatting(server, "bob") as bob:
        bob.send("his")
        expect(lobby).to_have_accessible_name("lobby 1 unread")
        alice.say("mine, too")
        alice.hears("mine, too")
    expect(lobby).to_have_accessible_name("lobby 2 unread")  # since it is not known whether his has been read


def test_the_line_above_new_messages_is_below_own_messages(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.join("tea")
    lobby, tea = (alice.rooms.get_by_role("link", name=re.compile(f"^{name}")) for name in ("lobby", "tea"))
    expect(tea).to_have_attribute("aria-current", "page")
    lobby.click()
    expect(lobby).to_have_attribute("aria-current", "page")
    alice.say("before")
    alice.hears("before")
    alice.field.fill("mine")
    alice.page.evaluate("""() => {
        document.querySelector("#say").closest("form").requestSubmit();
        document.querySelector("#rooms a[href='#/tea']").click();
    }""")
    expect(tea).to_have_attribute("aria-current", "page")
    eventually(lambda: b'"mine"' in urlopen(f"{http(server)}api/rooms/lobby/messages", timeout=TIMEOUT).read())
    with chatting(server, "bob") as bob:
        bob.send("his")
        expect(lobby).to_have_accessible_name("lobby 1 unread")
    lobby.click()
    expect(alice.log.locator(".new, .message .text")).to_have_text(["before", "mine", "New", "his"])


def test_dates_separate_days_and_pointing_at_a_message_shows_its_time(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    broker = SqliteBroker(path)
    append(broker, *(Draft("lobby", "bob", text) for text in ("old", "not so old", "of the next day", "of the same")))
    broker.close()
    times = ["2024-02-28T22:58:00+00:00", "2024-02-28T23:00:00+00:00", "2024-02-29T01:00:00+00:00", "2024-02-29T01:01:00+00:00"]
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for seq, time in enumerate(times, start=1):
            database.execute("UPDATE messages SET time = ? WHERE seq = ?", (datetime.fromisoformat(time).timestamp(), seq))
    with running("--port", "0", "--history", str(path), "--keep-days", "0") as server:
        alice = windows.enter(server, "alice", timezone_id="UTC", locale="en-GB")
        alice.say_and_wait("today")
        *items, today, said_today = alice.log.locator(".day, .message .text").all_text_contents()
        first, second = "Wednesday 28 February 2024", "Thursday 29 February 2024"
        assert [item.replace(",", "") for item in items] == [first, "old", "not so old", second, "of the next day", "of the same"]
        assert said_today == "today"
        assert today not in items
        goes_on = alice.message("of the same")
        expect(goes_on.locator("time")).to_have_css("opacity", "0")
        goes_on.hover()
        expect(goes_on.locator("time")).to_have_css("opacity", "1")
        expect(goes_on.locator("time")).to_have_text("01:01")
        expect(goes_on.locator("time")).to_have_attribute("title", re.compile("29 February 2024.*01:01:00"))


def test_a_line_is_above_messages_that_arrived_while_another_room_was_shown(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    items = alice.log.locator(".new, .message .text")
    lobby, tea = (alice.rooms.get_by_role("link", name=re.compile(f"^{name}")) for name in ("lobby", "tea"))
    alice.say("seen")
    alice.hears("seen")
    with chatting(server, "bob") as bob:
        bob.send("seen, too")
        alice.hears("seen, too")
        alice.join("tea")
        expect(tea).to_have_attribute("aria-current", "page")
        bob.send("not seen")
        bob.send("not seen either")
        expect(lobby).to_have_accessible_name("lobby 2 unread")
        lobby.click()
        expect(items).to_have_text(["seen", "seen, too", "New", "not seen", "not seen either"])
        expect(alice.message("not seen").locator(".author")).to_have_text("bob")
        tea.click()
        lobby.click()
        expect(items).to_have_text(["seen", "seen, too", "not seen", "not seen either"])
