"""The page in a real browser: names, rooms, messages, whispers and commands."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.server.command import Served
from tests.web.page.wiring import Guest, Windows, http
from tests.web.proxies import Proxy


def test_two_users_talk(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.say("Hello, bob!")
    bob.hears("Hello, bob!")
    bob.say("Hello, alice!")
    alice.hears("Hello, alice!")
    assert alice.texts() == bob.texts() == ["Hello, bob!", "Hello, alice!"]
    alice.expect_sent("Hello, bob!")


def test_two_users_talk_through_nginx(nginx: Proxy, windows: Windows) -> None:
    page = windows.open(f"http://127.0.0.1:{nginx.port}/chat")
    alice = Guest(page)
    alice.take_name("alice")
    bob = windows.enter(nginx.server, "bob")  # directly, without nginx
    alice.say("Hello, bob!")
    bob.hears("Hello, bob!")
    bob.say("Hello, alice!")
    alice.hears("Hello, alice!")


def test_a_taken_or_invalid_name_is_asked_for_again(server: Served, windows: Windows) -> None:
    windows.enter(server, "alice")
    other = Guest(windows.open(http(server)))
    for name, problem in (("alice", "taken"), ("<script>alert(1)</script>", "letters, digits")):
        other.page.get_by_label("Name", exact=True).fill(name)
        other.page.get_by_role("button", name="Join the chat").click()
        expect(other.page.get_by_role("alert")).to_contain_text(problem)
    other.take_name("bob")
    expect(other.members).to_contain_text("alice")


def test_a_name_and_a_room_are_remembered(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", "tea")
    alice.say("Is anybody there?")
    alice.hears("Is anybody there?")
    alice.page.reload()
    alice.hears("Is anybody there?")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    alice.say_and_wait("Still me.")


def test_a_name_can_be_changed(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.page.get_by_role("button", name="Change name").click()
    alice.page.get_by_label("Name", exact=True).fill("alicia")
    alice.page.get_by_role("dialog").get_by_role("button", name=re.compile("Join|Change")).click()
    expect(bob.log).to_contain_text(re.compile("alice is now .*alicia"))
    expect(bob.members).to_contain_text("alicia")


def test_rooms_are_joined_and_left_and_their_unread_messages_counted(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob", "tea")
    alice.rooms.get_by_label("Room to join").fill("tea")
    alice.rooms.get_by_role("button", name="Join the room").click()
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    alice.rooms.get_by_role("link", name=re.compile("^lobby")).click()
    bob.say("one")
    bob.say("two")
    expect(alice.rooms.get_by_role("link", name=re.compile("tea.*2"))).to_be_visible()
    alice.rooms.get_by_role("link", name=re.compile("^tea")).click()
    alice.hears("two")
    expect(alice.rooms.get_by_role("link", name=re.compile("tea.*2"))).to_have_count(0)
    alice.say("/leave")
    expect(bob.log).to_contain_text(re.compile("alice (has )?left"))
    expect(alice.page.get_by_role("heading", name="lobby", exact=True)).to_be_visible()


def test_a_whisper_is_shown_to_its_recipient_only_and_can_be_answered(server: Served, windows: Windows) -> None:
    alice, bob, carol = (windows.enter(server, name) for name in ("alice", "bob", "carol"))
    alice.say("/msg bob It is a secret.")
    expect(alice.log.locator(".whisper")).to_contain_text("You whispered to bob")
    expect(bob.log.locator(".whisper")).to_contain_text("It is a secret.")
    bob.log.get_by_role("button", name="Reply").click()
    bob.page.keyboard.type("I see.")
    bob.page.keyboard.press("Enter")
    expect(alice.log.locator(".whisper").nth(1)).to_contain_text("I see.")
    alice.say("not a secret")
    carol.hears("not a secret")
    expect(carol.log).not_to_contain_text("secret.")


def test_commands_are_completed(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    windows.enter(server, "bobby")
    alice.field.press_sequentially("/m")
    options = alice.page.get_by_role("listbox", name="Completions").get_by_role("option")
    expect(options.filter(has_text="/msg NAME TEXT")).to_be_visible()
    expect(options.filter(has_text="/mute")).to_contain_text("(moderators only)")
    alice.field.press("Escape")
    expect(options).to_have_count(0)
    alice.field.fill("")
    alice.field.press_sequentially("/ms")
    alice.field.press("Tab")
    expect(alice.field).to_have_value("/msg ")
    alice.field.press_sequentially("bo")
    alice.field.press("Tab")
    expect(alice.field).to_have_value(re.compile("^/msg bobby ?$"))


def test_names_are_completed_with_tab(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    windows.enter(server, "bobby")
    alice.field.press_sequentially("Hello bo")
    alice.field.press("Tab")
    expect(alice.field).to_have_value(re.compile("^Hello bobby"))


def test_a_wrong_command_is_answered_with_its_usage(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/msg bob")
    expect(alice.log).to_contain_text("/msg NAME TEXT")
    alice.say("/nonsense")
    expect(alice.log).to_contain_text("command /nonsense")
    alice.say("//nonsense")
    alice.hears("/nonsense")


def test_the_page_shows_who_types(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.field.press_sequentially("Well")
    expect(bob.page.get_by_text("alice is typing")).to_be_visible()
    alice.field.press("Enter")
    bob.hears("Well")
    expect(bob.page.get_by_text("alice is typing")).to_be_hidden()


def test_actions_days_and_times(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/me waves")
    action = alice.log.locator(".message.action")
    expect(action).to_contain_text("alice waves")
    expect(alice.log.locator(".day")).to_have_count(1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", action.locator("time").get_attribute("datetime") or "")


def test_links_open_in_a_new_tab_without_a_referrer(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("See https://example.org/a_(b)?c=d#e, or (http://example.com/). Not javascript:alert(1).")
    links = alice.log.get_by_role("link")
    assert [link.get_attribute("href") for link in (links.nth(0), links.nth(1))] == [
        "https://example.org/a_(b)?c=d#e",
        "http://example.com/",
    ]
    expect(links).to_have_count(2)
    assert links.nth(0).get_attribute("rel") == "noopener noreferrer"
    assert links.nth(0).get_attribute("target") == "_blank"


def test_a_mention_is_shown_in_the_title_of_a_hidden_page(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    bob.page.evaluate("""() => {
        Object.defineProperty(document, "visibilityState", { get: () => "hidden", configurable: true });
        Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    alice.say("Are you there, bob?")
    expect(bob.page).to_have_title(re.compile(r"^\(1\) "))
    expect(bob.log.locator(".message.mention")).to_have_text(re.compile("Are you there, bob"))
    alice.say("bobsled is not you")
    expect(bob.page).to_have_title(re.compile(r"^\(2\) "))
    expect(bob.log.locator(".message.mention")).to_have_count(1)
    bob.page.evaluate("""() => {
        delete document.visibilityState;
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(bob.page).not_to_have_title(re.compile(r"^\("))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<style>*{display:none}</style>", "&lt;b&gt;"]
)
def test_markup_in_messages_is_shown_as_text(server: Served, windows: Windows, text: str) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.say(text)
    bob.hears(text)
    alice.say(f"/msg bob {text}")
    expect(bob.log.locator(".whisper")).to_contain_text(text)
    alice.rooms.get_by_label("Room to join").fill(text[:32])
    alice.rooms.get_by_role("button", name="Join the room").click()
    expect(alice.page.locator("main")).to_contain_text("A room name has")
    assert bob.page.locator("main script, main img, main style").count() == 0


def test_a_very_long_message_is_folded_and_fits_into_the_window(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("x" * 50_000)
    expect(alice.log.locator("[data-seq]")).to_have_count(1)
    alice.log.get_by_role("button", name=re.compile("Show all")).click()
    expect(alice.log.locator(".message .text")).to_contain_text("x" * 50_000)
    assert alice.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
