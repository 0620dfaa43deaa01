"""The page and who somebody is: tokens, names that are taken, and other names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.server.command import Command, running
from tests.web.page.between import Between, ignore
from tests.web.page.wiring import Guest, Windows, http
from wschat.chat.access import mint

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Command]:
    """A chat for those who have a token."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    with running("--port", "0", "--history", "memory", "--rate", "off", "--auth-secret-file", str(path)) as server:
        yield server


def test_a_token_that_is_cut_off_is_said_to_be_wrong(guarded: Command, windows: Windows) -> None:
    page = windows.open(f"{http(guarded)}#token=%E0%A4%A")
    expect(page.get_by_role("status")).to_contain_text("The token is not valid")
    assert "token" not in page.url
    assert all("401" in complaint for complaint in windows.complaints)  # a browser logs that
    windows.complaints.clear()
    page.goto(f"{http(guarded)}stats#token=%E0%A4%A")  # which need none on this machine
    expect(page.get_by_role("status")).to_have_text("Live")
    assert "token" not in page.url


def test_who_has_a_token_has_its_name(guarded: Command, windows: Windows) -> None:
    alice = Guest(windows.open(f"{http(guarded)}#token={mint(SECRET, 'alice')}"))
    expect(alice.members).to_contain_text("alice (you)")
    assert "token" not in alice.page.url
    expect(alice.page.get_by_role("button", name="Change name")).to_be_hidden()


def test_a_name_that_cannot_be_changed_to_is_told_where_it_was_chosen(server: Command, windows: Windows) -> None:
    alice, _ = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.page.get_by_role("button", name="Change name").click()
    for name, problem in (("bob", "taken"), ("two words", "letters, digits")):
        alice.page.get_by_label("Name", exact=True).fill(name)
        alice.page.keyboard.press("Enter")
        expect(alice.page.get_by_role("dialog").get_by_role("alert")).to_contain_text(problem)
    alice.take_name("alicia")
    expect(alice.log.locator(".unsent, .error")).to_have_count(0)


def test_a_second_tab_is_told_of_the_first(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    second = Guest(alice.page.context.new_page())
    second.page.goto(http(server))
    expect(second.page.get_by_role("alert")).to_contain_text("You are alice in another tab")
    second.take_name("alicia")
    expect(alice.members).to_contain_text("alicia")


def test_a_name_is_asked_for_once_an_opening(server: Command, windows: Windows) -> None:
    windows.enter(server, "alice")
    page = windows.open("about:blank")
    page.clock.install()
    between = Between(page)
    page.add_init_script("localStorage.setItem('wschat / name', JSON.stringify('alice'))")
    page.goto(http(server))
    expect(page.get_by_role("status")).to_contain_text("still taken")
    before = len(between.asked("nick"))
    between.faults.append(ignore(type="nick"))
    between.cut()  # while it waits for the next try
    between.wait_for("nick", before + 1)
    page.clock.run_for(3000)
    assert len(between.asked("nick")) == before + 1
