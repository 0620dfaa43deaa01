"""Joins, departures and actions of moderators in the log, the list of members, and the colours of names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.server.command import Command, Served, running
from tests.web.page.faulty_network import enter
from tests.web.page.test_log import chatting
from tests.web.page.wiring import Guest, Windows, http

BACK_WITHIN = 6000  # milliseconds
COMMANDS = {"muted": "mute", "removed": "kick", "banned": "ban"}


@pytest.fixture
def moderated(tmp_path: Path) -> Iterator[Command]:
    """A chat server with the moderator root."""
    (tmp_path / "password").write_text("sesame")
    options = ("--port", "0", "--history", "memory", "--rate", "off", "--moderator", f"root:{tmp_path / 'password'}")
    with running(*options) as server:
        yield server


def enter_as_root(windows: Windows, server: Served) -> Guest:
    root = Guest(windows.open(http(server)))
    root.page.get_by_text("I am a moderator").click()
    root.page.get_by_label("Name", exact=True).fill("root")
    root.page.get_by_label("Password").fill("sesame")
    root.page.get_by_role("button", name="Join the chat").click()
    expect(root.members).to_contain_text("root (you)")
    return root


def news(guest: Guest) -> Locator:
    return guest.log.locator(".news")


def test_a_member_who_returns_within_seconds_is_not_reported(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, "alice", clock=True)
    bob = windows.enter(server, "bob")
    expect(news(alice)).to_have_text("bob joined.")
    for _ in range(3):
        bob.page.reload()
        expect(bob.members).to_contain_text("bob (you)")
    bob.say("still here")
    alice.hears("still here")
    alice.page.clock.run_for(2 * BACK_WITHIN)
    expect(news(alice)).to_have_text(["bob joined."])
    network.cut()  # as after a restart of the server
    alice.page.clock.run_for(2000)
    bob.say("and now")
    alice.hears("and now")
    alice.page.clock.run_for(2 * BACK_WITHIN)
    expect(news(alice)).to_have_text(["bob joined."])


def test_joins_and_departures_are_merged_into_one_line_with_the_current_state(server: Served, windows: Windows) -> None:
    alice, _ = enter(windows, server, "alice", clock=True)
    with ExitStack() as guests:
        guests.enter_context(chatting(server, "bob"))
        expect(news(alice)).to_have_text("bob joined.")
        guests.enter_context(chatting(server, "carol"))
        expect(news(alice)).to_have_text("bob and carol joined.")
        with chatting(server, "dave"):
            expect(news(alice)).to_have_text("bob, carol and dave joined.")
        expect(alice.members).not_to_contain_text("dave")
        expect(news(alice)).to_have_text("bob, carol and dave joined.")
        alice.page.clock.run_for(BACK_WITHIN + 1000)
        expect(news(alice)).to_have_text("bob and carol joined. dave left.")
        with chatting(server, "dave"):
            expect(news(alice)).to_have_text("bob, carol and dave joined.")


def test_the_date_is_above_all_lines_of_that_day(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    with chatting(server, "bob") as bob:
        expect(news(alice)).to_have_count(1)
        bob.send("Good morning!")
        alice.hears("Good morning!")
    kinds = alice.log.locator("li").evaluate_all("items => items.map((item) => item.className)")
    assert kinds == ["day", "news", "message"]


def test_a_join_after_midnight_is_below_the_new_date(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, "alice", clock=True)
    alice.say("Good night!")
    alice.hears("Good night!")
    network.wait_for_answers()
    alice.page.clock.fast_forward("24:00:00")
    with chatting(server, "bob"):
        expect(news(alice)).to_have_text("bob joined.")
    kinds = alice.log.locator("li").evaluate_all("items => items.map((item) => item.className)")
    assert kinds == ["day", "message", "day", "news"]


def test_each_action_of_a_moderator_is_shown_once(moderated: Command, windows: Windows) -> None:
    root = enter_as_root(windows, moderated)
    bob, carol = windows.enter(moderated, "bob"), windows.enter(moderated, "carol")
    expect(root.members).to_contain_text("carol")

    def lines_about(guest: Guest, about: str) -> list[str]:
        lines = guest.log.locator(".news, .notice, .error").all_text_contents()
        return [line for line in lines if about in line]

    root.say("/mute bob 60")
    expect(bob.log).to_contain_text("muted you in lobby")
    root.say("/kick bob")
    removed = bob.log.locator(".notice").filter(has=bob.page.get_by_role("button", name="Join again"))
    expect(removed).to_contain_text("root")  # the server's notice instead of the page's own
    removed.get_by_role("button").click()
    expect(bob.members).to_contain_text("bob (you)")
    root.say("/ban bob 60")
    expect(removed.last).to_contain_text("banned")
    root.say("/ban 203.0.113.7")
    expect(root.log).to_contain_text("Done: /ban 203.0.113.7")
    carol.say("that was it")
    for guest in (root, carol):
        guest.hears("that was it")
    expect(removed).to_have_count(2)
    assert len(lines_about(bob, "banned")) == 1
    assert lines_about(bob, "no longer in lobby") == []
    for guest in (root, carol):
        lines = " ".join(lines_about(guest, "bob"))
        for what in COMMANDS:
            assert lines.count(f"bob was {what}") + lines.count(f"Done: /{COMMANDS[what]}") == 1, lines
    assert "Done: /kick" not in " ".join(lines_about(root, "bob"))


def test_a_whisper_to_oneself_is_shown_once(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/msg Alice milk")
    expect(alice.log.locator(".whisper")).to_have_count(1)
    alice.say("and now")
    alice.hears("and now")
    expect(alice.log.locator(".whisper")).to_have_count(1)


def test_moderators_are_marked_and_members_are_counted(moderated: Command, windows: Windows) -> None:
    root = enter_as_root(windows, moderated)
    alice = windows.enter(moderated, "alice")
    windows.enter(moderated, "aaron")
    marked = alice.page.locator("#people li").filter(has=alice.page.get_by_role("img", name="Moderator"))
    expect(marked).to_have_text(["root★Whisper"])
    expect(alice.page.locator("#people li")).to_contain_text(["alice (you)", "root", "aaron"])
    expect(alice.page.locator("#people-count")).to_have_text("3")
    root.say("/op aaron")
    expect(marked).to_contain_text(["aaron", "root"])
    root.say("/mute aaron 60")
    expect(marked).to_contain_text(["root"])
    expect(marked).to_have_count(1)


def test_typing_is_shown_again_after_a_message(server: Served, windows: Windows) -> None:
    alice, bob = windows.enter(server, "alice"), windows.enter(server, "bob")
    typing = bob.page.get_by_text("alice is typing")
    for text in ("one", "two"):
        alice.field.press_sequentially(text)
        expect(typing).to_be_visible(timeout=1500)
        alice.field.press("Enter")
        bob.hears(text)
        expect(typing).to_be_hidden()
        alice.expect_sent(text)


def test_copied_messages_are_names_times_and_texts(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    for text in ("one", "two"):
        alice.say(text)
        alice.hears(text)
    copied = alice.page.evaluate("""() => {
        getSelection().selectAllChildren(document.querySelector(".log .block"));
        return getSelection().toString();
    }""")
    lines = [line for line in copied.split("\n")[1:] if line.strip()]
    assert re.fullmatch(r"alice\s+\d+:\d\d\s+.M one \d+:\d\d\s+.M two", " ".join(lines).replace("\u202f", " ")), lines


def hues(guest: Guest) -> dict[str, float]:
    """The hue of each author in the log."""
    authors = guest.log.locator(".author").evaluate_all(
        "all => all.map((one) => [one.textContent, Number(one.style.getPropertyValue('--hue'))])"
    )
    return dict(authors)


def test_six_members_have_six_distinguishable_colours(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    rooms = [[f"{name}{room}" for name in ("anna", "ben", "clara", "david", "eva")] for room in range(5)]
    for names in rooms:
        for name in names:
            with chatting(server, name) as ws:
                ws.send(f"It is {name}")
                alice.hears(f"It is {name}")
    of = hues(alice)
    assert len(of) == 25
    for names in rooms[:2]:
        assert len({of[name] for name in names}) == 5
    guest = windows.enter(server, "guest", "six")
    alice.join("six")
    for name in ("a", "b", "c", "d"):
        windows.enter(server, name, "six").say("Hello!")
    guest.say("Hello!")
    alice.say("Hello!")
    expect(alice.log.locator(".author")).to_have_count(6)
    found = sorted(hues(alice).values())
    gaps = [(other - one) % 360 for one, other in zip(found, [*found[1:], found[0]], strict=True)]
    assert min(gaps) >= 30, found
    before = hues(alice)
    guest.say("Again")
    alice.hears("Again")
    assert hues(alice) == before
