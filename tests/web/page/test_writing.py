"""Writing messages: refused commands, completion, input history, and how a text is shown."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.server.command import Served, running
from tests.web.page.test_log import chatting
from tests.web.page.wiring import Windows, http


def test_a_refused_command_can_be_corrected_and_is_not_kept(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/nonsense and more")
    error = alice.log.locator(".error")
    expect(error).to_contain_text("/nonsense and more")
    expect(error).to_contain_text("command /nonsense")
    alice.say("said after it")
    alice.hears("said after it")
    assert alice.log.locator("li").last.text_content() != error.text_content()
    alert = alice.page.evaluate("getComputedStyle(document.getElementById('names-problem')).color")
    expect(error.locator(".text")).to_have_css("color", alert)
    error.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value("/nonsense and more")
    alice.page.reload()
    alice.hears("said after it")
    expect(alice.log).not_to_contain_text("nonsense")


def test_an_enter_that_ends_a_composition_sends_nothing(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.field.fill("かんじ")
    # As in Safari, where the composition has ended just before.
    alice.field.evaluate("field => field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true }))")
    expect(alice.field).to_have_value("かんじ")


def test_an_at_sign_stays_before_a_completed_name(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    with chatting(server, "bobby"):
        expect(alice.members).to_contain_text("bobby")
        for typed, completed in (("Hello @bo", "Hello @bobby "), ("@bo", "@bobby "), ("/msg @bo", "/msg bobby "), ("bo", "bobby: ")):
            alice.field.fill(typed)
            alice.field.press("Tab")
            expect(alice.field).to_have_value(completed)


def test_parts_of_other_words_are_neither_mentions_nor_links(server: Served, windows: Windows) -> None:
    bob = windows.enter(server, "bob")
    with chatting(server, "alice") as alice:
        alice.send("https://example.org@elsewhere.example/ and https://a:b@elsewhere.example/")
        alice.send("This is for you, bob.")
        alice.send("bob.smith is somebody else")
    bob.hears("bob.smith is somebody else")
    expect(bob.log.locator(".mention")).to_have_count(1)
    expect(bob.log.locator(".mention")).to_contain_text("This is for you, bob.")
    expect(bob.log.get_by_role("link")).to_have_count(0)


def test_errors_of_the_server_are_explained_in_the_words_of_the_page(windows: Windows, tmp_path: Path) -> None:
    (password := tmp_path / "password").write_text("open sesame")
    with running("--port", "0", "--moderator", f"mod:{password}") as server:
        page = windows.open(http(server))
        page.get_by_label("Name", exact=True).fill("mod")
        page.get_by_text("I am a moderator").click()
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Join the chat").click()
        expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
        expect(page.get_by_label("Password")).to_have_value("wrong")
        page.get_by_label("Password").fill("open sesame")
        page.get_by_role("button", name="Join the chat").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("#people")).to_have_text("mod (you)★")
    (secret := tmp_path / "secret").write_text("s" * 32)
    with running("--port", "0", "--auth-secret-file", str(secret)) as server:
        page = windows.open(http(server))
        expect(page.get_by_role("dialog", name="This chat needs a token")).to_be_visible()
    assert all("401" in complaint for complaint in windows.complaints)  # the browser logs each
    windows.complaints.clear()


def test_earlier_input_can_be_recalled(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("one")
    alice.say("two\nof two lines")
    for key, text in (
        ("ArrowUp", "two\nof two lines"),
        ("ArrowUp", "one"),
        ("ArrowUp", "one"),
        ("ArrowDown", "two\nof two lines"),
        ("ArrowDown", ""),
    ):
        alice.field.press(key)
        expect(alice.field).to_have_value(text)
    alice.field.fill("something else")
    alice.field.press("ArrowUp")
    expect(alice.field).to_have_value("something else")


def test_the_field_is_as_high_as_its_text(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")

    def height() -> int:
        return int(alice.field.evaluate("field => field.clientHeight"))

    empty = height()
    alice.field.fill("one\ntwo\nthree")
    assert height() > 2 * empty
    alice.field.press("Enter")
    alice.hears("one\ntwo\nthree")
    assert height() == empty
