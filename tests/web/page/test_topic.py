"""The topic of a room in the header of the page and in the log."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.server.command import Served
from tests.web.page.wiring import Guest, Windows

LONG = "A topic that is much too long for one line. " * 10


def topic(guest: Guest) -> Locator:
    """The topic below the name of the current room."""
    return guest.page.locator("#topic")


def lines(guest: Guest) -> Locator:
    """The lines of the log that are not messages."""
    return guest.log.locator(".news[data-seq]")


def test_a_topic_is_shown_in_the_header_and_in_the_log_of_all_members(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    expect(topic(bob)).to_be_hidden()
    alice.say("/topic green or black?")
    for guest in (alice, bob):
        expect(topic(guest)).to_have_text("green or black?")
        expect(lines(guest)).to_have_text(["alice changed the topic to: green or black?"])
    bob.say("/topic -")
    for guest in (alice, bob):
        expect(topic(guest)).to_be_hidden()
        expect(lines(guest)).to_have_text(["alice changed the topic to: green or black?", "bob cleared the topic"])
    alice.say("hi")
    bob.hears("hi")
    expect(alice.log.locator(".unsent")).to_have_count(0)


def test_later_members_see_the_topic_and_each_room_has_its_own(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/topic of the lobby")
    expect(topic(alice)).to_have_text("of the lobby")
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea")).to_be_visible()
    expect(topic(alice)).to_be_hidden()
    alice.say("/topic of tea")
    expect(topic(alice)).to_have_text("of tea")
    bob = windows.enter(server, "bob")
    expect(topic(bob)).to_have_text("of the lobby")
    expect(lines(bob)).to_have_text(["alice changed the topic to: of the lobby"])
    alice.rooms.get_by_text("lobby").click()
    expect(topic(alice)).to_have_text("of the lobby")
    alice.page.reload()
    expect(topic(alice)).to_have_text("of the lobby")


def test_a_topic_is_shown_as_text_with_links(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    text = "<img src=x onerror=alert(1)> &amp; see https://example.org/ \u202e"
    alice.say(f"/topic {text}")
    expect(topic(bob)).to_have_text(text.strip())
    expect(lines(bob)).to_have_text([f"alice changed the topic to: {text}".strip()])
    assert topic(bob).get_by_role("link").get_attribute("href") == "https://example.org/"
    assert bob.page.locator("#topic img, .news img").count() == 0


def test_a_long_topic_is_truncated_and_shown_whole_as_a_tooltip(server: Served, windows: Windows) -> None:
    for name, width in (("alice", 1100), ("bob", 375)):
        alice = windows.enter(server, name, f"room-of-{name}", viewport={"width": width, "height": 667})
        alice.say(f"/topic {LONG}")
        expect(topic(alice)).to_have_attribute("title", LONG.strip())
        assert topic(alice).evaluate("topic => topic.scrollWidth > topic.clientWidth")
        assert alice.page.evaluate("document.documentElement.scrollWidth") == width
        expect(alice.page.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)


def test_messages_before_and_after_a_topic_are_separate_groups(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    for text in ("one", "two", "/topic green", "three", "four"):
        alice.say(text)
    alice.hears("four")
    authors = alice.log.locator(".message .author")
    expect(authors).to_have_text(["alice", "alice"])
    assert alice.texts() == ["one", "two", "three", "four"]
    assert alice.log.locator("[data-seq]").evaluate_all("items => items.map(({dataset}) => Number(dataset.seq))") == [1, 2, 3, 4, 5]


def test_the_command_shows_the_topic(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/topic")
    expect(alice.log).to_contain_text("lobby has no topic.")
    alice.say("/topic green")
    alice.say("/topic")
    expect(alice.log).to_contain_text("Topic of lobby, set by alice: green")
    alice.say("/history")
    expect(alice.log.locator(".notice").last).to_have_text("alice changed the topic to: green\n")


def test_a_topic_set_while_the_connection_was_lost_is_shown_afterwards(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    alice.page.context.set_offline(True)
    bob.say("/topic green")
    expect(topic(bob)).to_have_text("green")
    alice.page.context.set_offline(False)
    expect(topic(alice)).to_have_text("green", timeout=20_000)
