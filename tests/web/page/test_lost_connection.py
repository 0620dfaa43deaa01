"""The page while its server is gone and after it is back: nothing is lost, nothing comes twice, and everything in order."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.programs import free_port
from tests.server.command import Command, running
from tests.web.page.wiring import Guest, Windows, http

Restart = Callable[[], Command]


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Restart]:
    """Starts a server that keeps what is said in a file, always on the same port; the one before is killed."""
    port = free_port()
    with ExitStack() as started:

        def start() -> Command:
            return started.enter_context(running("--port", str(port), "--history", str(tmp_path / "history.sqlite"), "--rate", "off"))

        yield start


def kill(server: Command) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def hurry(*guests: Guest) -> None:
    """Have them try again at once, as when their network is back; nothing happens to those who are connected."""
    for guest in guests:
        guest.page.evaluate("window.dispatchEvent(new Event('online'))")


def said_in(server: Command, room: str) -> list[tuple[str, str]]:
    """Who said what, by the server's own log."""
    with urllib.request.urlopen(f"{http(server)}api/rooms/{room}/export") as lines:
        return [(message["from"], message["text"]) for message in map(json.loads, lines)]


def test_what_two_say_while_the_server_is_killed_and_comes_back_is_there_once_and_in_order(restart: Restart, windows: Windows) -> None:
    server = restart()
    guests = [windows.enter(server, "alice"), windows.enter(server, "bob")]
    texts: dict[str, list[str]] = {"alice": [], "bob": []}

    def both_say(times: int) -> None:
        for _ in range(times):
            for guest, (name, said) in zip(guests, texts.items(), strict=True):
                said.append(f"{name} says {len(said)}")
                guest.say(said[-1])

    both_say(10)
    for _ in range(2):
        kill(server)  # while the last of it is still on its way
        both_say(5)
        for guest in guests:
            expect(guest.page.get_by_role("status").filter(has_text="connection")).to_be_visible()
        server = restart()
        both_say(5)
        hurry(*guests)
        for guest in guests:
            guest.hears(texts["alice"][-1])
            guest.hears(texts["bob"][-1])
    log = said_in(server, "lobby")
    for name, said in texts.items():
        assert [text for sender, text in log if sender == name] == said
    for guest in guests:
        assert guest.texts() == [text for _, text in log]


def test_what_others_said_meanwhile_comes_in_its_place(restart: Restart, windows: Windows) -> None:
    server = restart()
    alice = windows.enter(server, "alice")
    alice.say("before")
    alice.hears("before")
    kill(server)
    alice.say("typed meanwhile")
    expect(alice.message("typed meanwhile").get_by_role("img", name="Waiting to send")).to_be_visible()
    server = restart()
    for number in range(3):
        body = json.dumps({"text": f"posted {number}", "name": "script"}).encode()
        urllib.request.urlopen(f"{http(server)}api/rooms/lobby/messages", body).close()
    alice.hears("posted 2")
    alice.hears("typed meanwhile")
    expect(alice.message("typed meanwhile").get_by_role("img", name="Sent", exact=True)).to_be_visible()
    assert sorted(alice.texts()) == sorted(text for _, text in said_in(server, "lobby"))


def test_what_could_not_be_sent_outlives_the_page(restart: Restart, windows: Windows) -> None:
    server = restart()
    alice = windows.enter(server, "alice")
    alice.say("first")
    expect(alice.message("first").get_by_role("img", name="Sent", exact=True)).to_be_visible()
    kill(server)
    alice.say("one")
    alice.say("two")
    alice.page.goto("about:blank")
    server = restart()
    assert said_in(server, "lobby") == [("alice", "first")]
    alice.page.goto(f"{http(server)}#/lobby")
    expect(alice.message("two").get_by_role("img", name="Sent", exact=True)).to_be_visible()
    assert alice.texts() == [text for _, text in said_in(server, "lobby")] == ["first", "one", "two"]


def test_a_log_that_was_lost_is_said_to_be(windows: Windows) -> None:
    port = free_port()
    with running("--port", str(port), "--history", "memory") as server:
        alice = windows.enter(server, "alice")
        alice.say("this will be forgotten")
        alice.hears("this will be forgotten")
    with running("--port", str(port), "--history", "memory"):
        hurry(alice)
        expect(alice.log).to_contain_text(re.compile("history of this room was lost"))
        alice.say("a new beginning")
        alice.hears("a new beginning")


def test_a_name_that_somebody_has_taken_meanwhile_can_be_changed_and_what_was_typed_is_sent(restart: Restart, windows: Windows) -> None:
    server = restart()
    alice = windows.enter(server, "alice")
    alice.page.context.set_offline(True)
    kill(server)
    alice.say("typed meanwhile")
    server = restart()
    windows.enter(server, "alice")
    alice.page.context.set_offline(False)
    hurry(alice)
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.page.get_by_label("Name", exact=True).fill("alicia")
    alice.page.keyboard.press("Enter")
    expect(alice.message("typed meanwhile").get_by_role("img", name="Sent", exact=True)).to_be_visible()
    assert said_in(server, "lobby") == [("alicia", "typed meanwhile")]
