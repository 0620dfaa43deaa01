"""Returning to the page: new messages are marked, drafts are kept, and typing goes into the message field."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.brokers.wiring import append
from tests.server.command import Served, running
from tests.web.page.faulty_network import enter
from tests.web.page.test_log import TALL, chatting, hide, show
from tests.web.page.wiring import Guest, Windows, http, until
from wschat.brokers.base import Draft
from wschat.brokers.sqlite.broker import SqliteBroker

LOW = {"width": 1100, "height": 400}


def items(guest: Guest) -> list[str]:
    """The texts of all messages, and the line above the new ones."""
    return guest.log.locator(".new, .message .text").all_text_contents()


def leave_page(guest: Guest) -> None:
    """Leave the page, which remembers what has been read."""
    guest.page.goto("about:blank")


@pytest.mark.parametrize("number", [7, 150])
def test_messages_since_the_last_visit_are_below_a_line_and_counted(server: Served, windows: Windows, number: int) -> None:
    alice = windows.enter(server, "alice", viewport=LOW)
    for text in ("seen", "seen, too"):
        alice.say(text)
        alice.hears(text)
    leave_page(alice)
    with chatting(server, "bob") as bob:
        for count in range(number):
            bob.send(f"alice: {count} is new")
            bob.recv()
    alice.page.goto(http(server))
    expect(alice.log.locator(".new")).to_be_in_viewport()
    expect(alice.message("seen, too")).to_be_in_viewport()
    expect(alice.message("alice: 0 is new").locator(".author")).to_have_text("bob")
    assert items(alice)[:4] == ["seen", "seen, too", "New", "alice: 0 is new"]
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    expect(lobby).to_have_accessible_name(f"lobby {number} unread")
    alice.page.get_by_role("button", name=f"{number} new messages").click()
    expect(alice.message(f"alice: {number - 1} is new")).to_be_in_viewport()
    expect(lobby).to_have_accessible_name("lobby")
    alice.page.reload()
    alice.hears(f"alice: {number - 1} is new")
    expect(alice.log.locator(".new")).to_have_count(0)


def test_new_messages_that_are_all_visible_count_as_read(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("seen")
    alice.hears("seen")
    leave_page(alice)
    with chatting(server, "bob") as bob:
        bob.send("new")
        bob.recv()
    alice.page.goto(http(server))
    alice.hears("new")
    assert items(alice) == ["seen", "New", "new"]
    expect(alice.rooms.get_by_role("link", name=re.compile("^lobby"))).to_have_accessible_name("lobby")
    leave_page(alice)
    alice.page.goto(http(server))
    alice.hears("new")
    assert items(alice) == ["seen", "new"]


def test_of_very_many_new_messages_the_last_are_shown_and_the_rest_can_be_scrolled_to(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"

    def store(*texts: str) -> None:
        broker = SqliteBroker(path)
        append(broker, *(Draft("lobby", "bob", text) for text in texts))
        broker.close()

    store("seen")
    with running("--port", "0", "--history", str(path)) as server:
        alice = windows.enter(server, "alice", viewport=LOW)
        alice.hears("seen")
        leave_page(alice)
        state = alice.page.context.storage_state()
    store(*(f"number {count}" for count in range(1500)))
    with running("--port", str(server.port), "--history", str(path)) as server:
        alice = Guest(windows.open(http(server), viewport=LOW, storage_state=state))
        expect(alice.page.get_by_role("button", name="1,500 new messages")).to_be_visible()
        expect(alice.message("number 1400")).to_be_in_viewport()
        while not alice.message("seen").is_visible():
            alice.log.hover()
            alice.page.mouse.wheel(0, -20_000)
        assert items(alice)[:3] == ["seen", "New", "number 0"]
        assert len(items(alice)) == 1502


def test_a_room_with_unread_messages_opens_at_the_first_of_them(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", viewport=LOW)
    alice.say("seen")
    alice.hears("seen")
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    lobby, tea = (alice.rooms.get_by_role("link", name=re.compile(f"^{name}")) for name in ("lobby", "tea"))
    with chatting(server, "bob") as bob:
        for count in range(30):
            bob.send(f"number {count}")
            bob.recv()
        expect(lobby).to_have_accessible_name("lobby 30 unread")
        lobby.click()
        expect(alice.log.locator(".new")).to_be_in_viewport()
        expect(alice.message("number 0")).to_be_in_viewport()
        alice.log.evaluate("log => log.scrollTo(0, 150)")
        until(alice.page, "document.querySelector('.log:not([hidden])').scrollTop === 150")
        tea.click()
        lobby.click()  # no new messages: the scroll position is kept
        until(alice.page, "document.querySelector('.log:not([hidden])').scrollTop === 150")


def test_a_page_that_is_shown_again_is_at_the_first_new_message(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", viewport=LOW)
    alice.say("seen")
    alice.hears("seen")
    hide(alice.page)
    with chatting(server, "bob") as bob:
        for count in range(30):
            bob.send(f"number {count}")
            bob.recv()
        alice.hears("number 29")
    show(alice.page)
    expect(alice.log.locator(".new")).to_be_in_viewport()
    expect(alice.message("number 0")).to_be_in_viewport()
    expect(alice.page.get_by_role("button", name="30 new messages")).to_be_visible()


def test_the_draft_of_each_room_survives_a_reload(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.field.fill("half a sen")
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    alice.field.fill("tea, plea")
    alice.page.reload()
    expect(alice.members).to_contain_text("alice (you)")
    expect(alice.field).to_have_value("tea, plea")
    alice.rooms.get_by_role("link", name="lobby").click()
    expect(alice.field).to_have_value("half a sen")
    alice.field.press("Enter")
    alice.hears("half a sen")
    alice.page.reload()
    alice.hears("half a sen")
    expect(alice.field).to_have_value("")


def test_typing_goes_into_the_message_field_wherever_the_focus_was(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    keyboard = alice.page.keyboard
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    keyboard.type("joined")
    expect(alice.field).to_have_value("joined")
    alice.rooms.get_by_role("link", name="lobby").click()
    expect(alice.page.get_by_role("heading", name="lobby", exact=True)).to_be_visible()
    keyboard.type("changed")
    expect(alice.field).to_have_value("changed")
    alice.log.click()
    keyboard.type(" clicked")
    expect(alice.field).to_have_value("changedclicked")  # a space scrolls instead
    alice.page.get_by_role("heading", name="lobby").click()
    keyboard.press("Control+a")
    expect(alice.field).not_to_be_focused()
    alice.page.get_by_label("Room to join").fill("")
    alice.page.get_by_label("Room to join").press_sequentially("tea")
    expect(alice.page.get_by_label("Room to join")).to_have_value("tea")


@contextlib.contextmanager
def pasted(guest: Guest, text: str) -> Iterator[None]:
    """Paste a text into the message field, and remove it afterwards."""
    guest.field.focus()
    guest.page.keyboard.insert_text(text)
    yield
    guest.field.fill("")


@pytest.mark.parametrize("text", ["line\n" * 40, "x" * 70_000], ids=["40 lines", "70 KB"])
def test_the_log_stays_scrolled_to_its_end_while_a_long_text_is_pasted(server: Served, windows: Windows, text: str) -> None:
    alice = windows.enter(server, "alice")
    for number in range(4):
        alice.say(f"{number}{TALL}")
        alice.hears(f"{number}{TALL}")
    jump = alice.page.get_by_role("button", name="Jump to latest")
    at_the_end = "log => new Promise(requestAnimationFrame).then(() => log.scrollHeight - log.scrollTop - log.clientHeight < 1)"
    with pasted(alice, text):
        for key in ("y", "z", "Backspace"):
            alice.page.keyboard.press(key)
            assert alice.log.evaluate(at_the_end)
            expect(jump).to_be_hidden()
    assert alice.log.evaluate(at_the_end)
    expect(jump).to_be_hidden()


def test_an_offline_event_makes_the_page_check_its_connection(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, "alice", clock=True)
    status = alice.page.get_by_role("status")
    network.wait_for_answers()
    alice.page.evaluate("window.dispatchEvent(new Event('offline'))")  # although the network is there
    alice.page.clock.run_for(4000)
    expect(status).to_be_empty()
    network.is_silent = True
    alice.page.evaluate("window.dispatchEvent(new Event('offline'))")
    alice.page.clock.run_for(4000)
    expect(status).not_to_be_empty()


@pytest.mark.parametrize(
    "wake_up",
    ["window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))", "document.dispatchEvent(new Event('resume'))", ""],
)
def test_a_page_that_wakes_up_without_a_connection_shows_that_soon(server: Served, windows: Windows, wake_up: str) -> None:
    alice, network = enter(windows, server, "alice", clock=True)
    network.wait_for_answers()
    network.is_silent = True
    alice.page.clock.fast_forward(20_000)  # as while a computer sleeps: no timer has run
    if wake_up:
        alice.page.evaluate(wake_up)
    alice.page.clock.run_for(7000)
    expect(alice.page.get_by_role("status")).not_to_be_empty()
