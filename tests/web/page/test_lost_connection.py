"""The page while its server is down and after its restart: no message is lost or repeated, and the order is kept."""

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
    """Starts a server with its history in a file, always on the same port, after the test has killed the previous one."""
    port = free_port()
    with ExitStack() as started:

        def start() -> Command:
            return started.enter_context(running("--port", str(port), "--history", str(tmp_path / "history.sqlite"), "--rate", "off"))

        yield start


def kill(server: Command) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def reconnect_now(*guests: Guest) -> None:
    """Have pages without a connection retry at once, as when their network is back."""
    for guest in guests:
        guest.page.evaluate("window.dispatchEvent(new Event('online'))")


def said_in(server: Command, room: str) -> list[tuple[str, str]]:
    """The senders and texts of all messages, from the server's export."""
    with urllib.request.urlopen(f"{http(server)}api/rooms/{room}/export") as lines:
        return [(message["from"], message["text"]) for message in map(json.loads, lines)]


def test_messages_of_two_users_survive_restarts_of_the_server_once_and_in_order(restart: Restart, windows: Windows) -> None:
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
        kill(server)  # while the last messages are still in transit
        both_say(5)
        for guest in guests:
            expect(guest.page.get_by_role("status").filter(has_text="connection")).to_be_visible()
        server = restart()
        both_say(5)
        reconnect_now(*guests)
        for guest in guests:
            guest.hears(texts["alice"][-1])
            guest.hears(texts["bob"][-1])
    log = said_in(server, "lobby")
    for name, said in texts.items():
        assert [text for sender, text in log if sender == name] == said
    for guest in guests:
        assert guest.texts() == [text for _, text in log]


def test_messages_that_others_sent_meanwhile_are_shown_in_order(restart: Restart, windows: Windows) -> None:
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
    alice.expect_sent("typed meanwhile")
    assert sorted(alice.texts()) == sorted(text for _, text in said_in(server, "lobby"))


def test_unsent_messages_survive_leaving_the_page(restart: Restart, windows: Windows) -> None:
    server = restart()
    alice = windows.enter(server, "alice")
    alice.say_and_wait("first")
    kill(server)
    alice.say("one")
    alice.say("two")
    alice.page.goto("about:blank")
    server = restart()
    assert said_in(server, "lobby") == [("alice", "first")]
    alice.page.goto(f"{http(server)}#/lobby")
    alice.expect_sent("two")
    assert alice.texts() == [text for _, text in said_in(server, "lobby")] == ["first", "one", "two"]


def test_the_page_says_so_if_the_history_was_lost(windows: Windows) -> None:
    port = free_port()
    with running("--port", str(port), "--history", "memory") as server:
        alice = windows.enter(server, "alice")
        alice.say("this will be forgotten")
        alice.hears("this will be forgotten")
    with running("--port", str(port), "--history", "memory"):
        reconnect_now(alice)
        expect(alice.log).to_contain_text(re.compile("history of this room was lost"))
        alice.say("a new beginning")
        alice.hears("a new beginning")


def test_if_the_name_was_taken_meanwhile_unsent_messages_are_sent_with_another_name(restart: Restart, windows: Windows) -> None:
    server = restart()
    alice = windows.enter(server, "alice")
    alice.page.context.set_offline(True)
    kill(server)
    alice.say("typed meanwhile")
    server = restart()
    windows.enter(server, "alice")
    alice.page.context.set_offline(False)
    reconnect_now(alice)
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.page.get_by_label("Name", exact=True).fill("alicia")
    alice.page.keyboard.press("Enter")
    alice.expect_sent("typed meanwhile")
    assert said_in(server, "lobby") == [("alicia", "typed meanwhile")]
