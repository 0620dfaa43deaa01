"""Names on the page: from tokens, taken names, changes of name, and moderators."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.server.command import Served, running
from tests.web.page.faulty_network import FaultyNetwork, ignore
from tests.web.page.wiring import SECRET, Guest, Windows, http
from wschat.chat.tokens import mint


def test_a_truncated_token_is_reported_as_invalid(guarded: Served, windows: Windows) -> None:
    page = windows.open(f"{http(guarded)}#token=%E0%A4%A")
    expect(page.get_by_role("alert")).to_contain_text("The token is not valid")
    assert "token" not in page.url
    assert all("401" in complaint for complaint in windows.complaints)  # the browser logs each
    windows.complaints.clear()
    page.goto(f"{http(guarded)}stats#token=%E0%A4%A")  # which needs no token on this machine
    expect(page.get_by_role("status")).to_have_text("Live")
    assert "token" not in page.url


def test_a_token_determines_the_name(guarded: Served, windows: Windows) -> None:
    alice = Guest(windows.open(f"{http(guarded)}#token={mint(SECRET, 'alice')}"))
    expect(alice.members).to_contain_text("alice (you)")
    assert "token" not in alice.page.url
    expect(alice.page.get_by_role("button", name="Change name")).to_be_hidden()


def test_a_refused_change_of_name_is_reported_in_its_dialog(server: Served, windows: Windows) -> None:
    alice, _ = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.page.get_by_role("button", name="Change name").click()
    for name, problem in (("bob", "taken"), ("two words", "letters, digits")):
        alice.page.get_by_label("Name", exact=True).fill(name)
        alice.page.keyboard.press("Enter")
        expect(alice.page.get_by_role("dialog").get_by_role("alert")).to_contain_text(problem)
    alice.take_name("alicia")
    expect(alice.log.locator(".unsent, .error")).to_have_count(0)


def test_a_second_tab_says_that_the_name_is_used_in_the_first(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    second = Guest(alice.page.context.new_page())
    second.page.goto(http(server))
    expect(second.page.get_by_role("alert")).to_contain_text("You are alice in another tab")
    second.take_name("alicia")
    expect(alice.members).to_contain_text("alicia")


def test_a_tab_remembers_its_own_name(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    second = Guest(alice.page.context.new_page())
    second.page.goto(http(server))
    second.take_name("alicia")
    alice.page.reload()
    expect(alice.members).to_contain_text("alice (you)")


def test_a_name_is_requested_once_per_connection(server: Served, windows: Windows) -> None:
    windows.enter(server, "alice")
    page = windows.open("about:blank")
    page.clock.install()
    network = FaultyNetwork(page)
    page.add_init_script("localStorage.setItem('wschat / name', JSON.stringify('alice'))")
    page.goto(http(server))
    expect(page.get_by_role("status")).to_contain_text("still in use")
    before = len(network.asked("nick"))
    network.faults.append(ignore(type="nick"))
    network.cut()  # while it waits for the next attempt
    network.wait_for("nick", before + 1)
    page.clock.run_for(3000)
    assert len(network.asked("nick")) == before + 1


def test_a_moderator_logs_in_with_a_password(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame")
    with running("--port", "0", "--history", "memory", "--moderator", f"root:{tmp_path / 'password'}") as server:
        bob = windows.enter(server, "bob")
        root = Guest(windows.open(http(server)))
        root.page.get_by_text("I am a moderator").click()
        for password in ("wrong", "sesame"):
            root.page.get_by_label("Name", exact=True).fill("root")
            root.page.get_by_label("Password").fill(password)
            root.page.get_by_role("button", name="Join the chat").click()
            if password == "wrong":
                expect(root.page.get_by_role("alert").filter(has_text="The password is wrong.")).to_be_visible()
        expect(root.members).to_contain_text("root")
        root.say("/kick bob")
        expect(bob.log.locator(".notice").filter(has=bob.page.get_by_role("button", name="Join again"))).to_contain_text("root")
    assert all("401" in complaint for complaint in windows.complaints)  # the browser logs each
    windows.complaints.clear()
