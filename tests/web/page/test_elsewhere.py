"""One name in several tabs or devices, a name after a lost connection, and the forms for tokens and passwords."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import wschat
from tests.concurrency import TIMEOUT
from tests.server.command import Served, running
from tests.web.page.faulty_network import FaultyNetwork
from tests.web.page.wiring import SECRET, Guest, Windows, http
from wschat.chat.tokens import mint


def test_a_name_can_be_used_in_one_tab_and_then_in_the_other(server: Served, windows: Windows) -> None:
    first = windows.enter(server, "alice")
    network = FaultyNetwork(first.page)
    first.page.reload()
    expect(first.members).to_contain_text("alice (you)")
    second = Guest(first.page.context.new_page())
    second.page.goto(http(server))
    expect(second.page.get_by_role("alert")).to_contain_text("You are alice in another tab")
    second.page.get_by_role("button", name="Use it here").click()
    expect(second.members).to_contain_text("alice (you)")
    status = first.page.get_by_role("status")
    expect(status).to_have_text("You are now alice in another tab or on another device.")
    openings = len(network.asked("commands"))
    for event in ("online", "pageshow"):
        first.page.evaluate(f"window.dispatchEvent(new Event('{event}'))")
    second.say_and_wait("from the second")
    assert len(network.asked("commands")) == openings  # it does not reconnect by itself, or the tabs would replace each other forever
    expect(status).to_have_text("You are now alice in another tab or on another device.")
    expect(first.log.locator(".error")).to_have_count(0)
    first.page.get_by_role("button", name="Use it here").click()
    expect(status).to_be_empty()
    first.say_and_wait("from the first")
    expect(second.page.get_by_role("status")).to_contain_text("in another tab")


def test_a_replaced_tab_can_continue_with_another_name(server: Served, windows: Windows) -> None:
    first = windows.enter(server, "alice")
    second = Guest(first.page.context.new_page())
    second.page.goto(http(server))
    second.page.get_by_role("button", name="Use it here").click()
    expect(first.page.get_by_role("status")).to_contain_text("in another tab")
    first.page.get_by_role("button", name="Change name").click()
    first.page.get_by_label("Name", exact=True).fill("alicia")
    first.page.keyboard.press("Enter")
    expect(first.members).to_contain_text("alicia (you)")
    expect(second.members).to_contain_text("alice (you)")


def test_a_user_gets_the_name_of_a_lost_connection_back_at_once(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    secret = alice.page.evaluate("JSON.parse(localStorage.getItem('wschat / secret'))")
    alice.page.goto("about:blank")
    # As if the server had not yet noticed that the connection is lost.
    with wschat.connect(f"{server.url}?name=alice&secret={secret}&replace=1", subprotocols=["wschat.v1"]) as ws:
        ws.recv(TIMEOUT)
        alice.page.goto(http(server))
        expect(alice.members).to_contain_text("alice (you)", timeout=3000)
        alice.say_and_wait("back")
        with pytest.raises(wschat.ConnectionClosed) as closed:
            all(ws.recv(TIMEOUT) for _ in range(100))
        assert closed.value.code == 4001


def test_a_name_is_reserved_for_its_user_after_leaving(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    other = windows.enter(server, "bob")
    alice.page.goto("about:blank")
    expect(other.members).not_to_contain_text("alice")
    other.page.get_by_role("button", name="Change name").click()
    other.page.get_by_label("Name", exact=True).fill("alice")
    other.page.keyboard.press("Enter")
    expect(other.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("taken")
    expect(other.page.get_by_role("button", name="Use it here")).to_be_hidden()
    alice.page.goto(http(server))
    expect(alice.members).to_contain_text("alice (you)")


def check_complaints_are_401(windows: Windows) -> None:
    """Check that only refusals with 401 were logged. The browser logs each, which a page cannot prevent."""
    assert all("401" in complaint for complaint in windows.complaints)
    windows.complaints.clear()


def token_form(page: Page) -> None:
    expect(page.get_by_role("dialog", name="This chat needs a token")).to_be_visible()


def test_a_chat_that_needs_a_token_asks_for_it(guarded: Served, windows: Windows, axe: str) -> None:
    page = windows.open(f"{http(guarded)}#/tea")
    token_form(page)
    page.evaluate(f"() => {{ {axe} }}")
    assert page.evaluate("async () => (await axe.run()).violations.length") == 0
    field, problem = page.get_by_label("Token", exact=True), page.get_by_role("dialog").get_by_role("alert")
    expect(field).to_be_focused()
    expect(problem).to_be_empty()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(problem).to_contain_text("The token is not valid")
    expect(field).to_have_value("wrong")
    field.fill(f"  {http(guarded)}#token={mint(SECRET, 'alice')} ")
    page.keyboard.press("Enter")
    alice = Guest(page)
    expect(alice.members).to_contain_text("alice (you)")
    expect(page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    page.reload()
    expect(alice.members).to_contain_text("alice (you)")
    check_complaints_are_401(windows)


def test_a_wrong_password_is_reported_and_can_be_corrected(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame")
    with running("--port", "0", "--history", "memory", "--moderator", f"root:{tmp_path / 'password'}") as server:
        page = windows.open(http(server))
        page.get_by_label("Name", exact=True).fill("root")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("belongs to a moderator")
        field = page.get_by_label("Password")
        for _ in range(2):
            field.fill("sesam")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
            expect(field).to_have_value("sesam")
            expect(field).to_be_focused()
        page.keyboard.press("End")
        page.keyboard.type("e")
        page.keyboard.press("Enter")
        expect(Guest(page).members).to_contain_text("root (you)")
        expect(field).to_have_value("")
    check_complaints_are_401(windows)


def test_after_too_many_wrong_passwords_the_page_says_so_and_does_not_retry(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame")
    with running("--port", "0", "--history", "memory", "--moderator", f"root:{tmp_path / 'password'}") as server:
        page = windows.open(http(server))
        page.get_by_text("I am a moderator").click()
        page.get_by_label("Name", exact=True).fill("root")
        alert = page.get_by_role("alert")
        while "Too many" not in (alert.text_content() or ""):
            page.get_by_label("Password").fill("wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_be_visible()
            expect(alert).not_to_be_empty()
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("status")).to_be_empty()
    assert all("401" in complaint or "429" in complaint for complaint in windows.complaints)
    windows.complaints.clear()
