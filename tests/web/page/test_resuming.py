"""The page while requests fail or get no answer: what it retries, and what it shows."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

import wschat
from tests.server.command import Command, Served, running
from tests.web.page.faulty_network import FaultyNetwork, enter, ignore, new_name, refuse
from tests.web.page.wiring import Guest, Windows, http, until

TRIES_AGAIN = re.compile("lost|Connecting")


@pytest.fixture(scope="module")
def server() -> Iterator[Command]:
    """One server for all tests of this module."""
    with running("--port", "0", "--history", "memory", "--rate", "off") as server:
        yield server


@pytest.fixture
def slow_server() -> Iterator[Command]:
    """A chat server with a low rate limit."""
    with running("--port", "0", "--history", "memory", "--rate", "5/1") as server:
        yield server


def post(server: Served, room: str, text: str) -> None:
    urllib.request.urlopen(f"{http(server)}api/rooms/{room}/messages", json.dumps({"text": text, "name": "script"}).encode()).close()


def reconnect(network: FaultyNetwork) -> None:
    """Lose the connection, and wait for the next one."""
    openings = len(network.asked("nick"))
    network.cut()
    network.wait_for("nick", openings + 1)


def go_offline(guest: Guest, network: FaultyNetwork) -> None:
    """Lose the connection, without getting another one."""
    network.is_silent = True
    network.cut()
    expect(guest.page.get_by_role("status")).to_contain_text("Connecting")


def run_clock(guest: Guest, network: FaultyNetwork, seconds: int) -> None:
    """Advance the clock of the page in steps, each after all requests have been answered."""
    for _ in range(0, seconds, 5):
        guest.page.clock.run_for(5000)
        network.wait_for_answers()


def test_missing_messages_are_reported_where_they_are_missing(server: Served, windows: Windows) -> None:
    room = "holes"
    alice, network = enter(windows, server, new_name(), room)
    alice.say("one")
    alice.hears("one")
    with wschat.connect(f"{server.url}?name={new_name()}", subprotocols=["wschat.v1"]) as ws:
        ws.recv()
        ws.send(json.dumps({"id": 1, "type": "join", "room": room}))
        joined = json.loads(ws.recv())
    said = [{**joined["messages"][0], "seq": seq, "text": f"number {seq}"} for seq in (2, 4, 5, 8)]
    damaged = {**joined, "messages": said, "last": 8, "gap": True, "more": False}
    network.faults.append(lambda request: {**damaged, "id": request["id"]} if request["type"] == "join" else None)
    reconnect(network)
    alice.hears("number 8")
    items = alice.log.locator(".message .text, .notice .text")
    missing = ("1 message is missing here", "2 messages are missing here")
    expect(items).to_contain_text(["one", "number 2", missing[0], "number 4", "number 5", missing[1], "number 8"])


def test_the_page_notices_a_network_that_is_gone_silently(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), clock=True)
    network.wait_for_answers()
    network.is_silent = True
    alice.page.clock.run_for(40_000)
    expect(alice.page.get_by_role("status")).to_contain_text(TRIES_AGAIN)


@pytest.mark.parametrize("waking", ["window.dispatchEvent(new Event('online'))", "document.dispatchEvent(new Event('visibilitychange'))"])
def test_the_page_notices_it_sooner_after_waking_up(server: Served, windows: Windows, waking: str) -> None:
    alice, network = enter(windows, server, new_name(), clock=True)
    network.wait_for_answers()
    network.is_silent = True
    alice.page.clock.run_for(4000)
    alice.page.evaluate(waking)
    alice.page.clock.run_for(7000)
    expect(alice.page.get_by_role("status")).to_contain_text(TRIES_AGAIN)


def test_an_idle_page_sends_few_requests(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), clock=True)
    network.wait_for_answers()
    before = len(network.requests)
    run_clock(alice, network, 60)
    kinds = [request["type"] for request in network.requests[before:]]
    assert kinds.count("rooms") <= 1
    assert 1 <= len(kinds) <= 4


def test_a_hidden_page_does_not_request_the_rooms(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), clock=True)
    alice.page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    network.wait_for_answers()
    before = len(network.asked("rooms"))
    run_clock(alice, network, 120)
    assert len(network.asked("rooms")) == before


def test_a_join_that_is_temporarily_refused_is_retried(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), clock=True)
    network.faults.append(refuse("unavailable", type="join", times=2))
    reconnect(network)
    for tries in (2, 3):
        network.wait_for("join", tries)
        alice.page.clock.run_for(2000)
    post(server, "lobby", "Are you there?")
    alice.hears("Are you there?")
    expect(alice.log.locator(".error")).to_have_count(0)


def test_a_banned_user_is_told_so_and_can_try_again(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name())
    network.faults.append(refuse("banned", "You are banned.", type="join"))
    reconnect(network)
    expect(alice.log.locator(".error")).to_contain_text("You are banned.")
    alice.log.get_by_role("button", name="Join again").click()
    post(server, "lobby", "Welcome back.")
    alice.hears("Welcome back.")


@pytest.mark.parametrize(("code", "complaint"), [("unavailable", None), ("forbidden", "messages are missing here. Sorry.")])
def test_messages_are_not_reported_as_missing_while_the_request_can_be_retried(
    server: Served, windows: Windows, code: str, complaint: str | None
) -> None:
    alice, network = enter(windows, server, new_name(), room := new_name(), clock=True)
    network.faults.append(refuse(code, type="history"))
    post(server, room, "one")
    alice.hears("one")
    network.hides = {2, 3}
    for text in ("two", "three", "four"):
        post(server, room, text)
    if complaint:
        expect(alice.log).to_contain_text(complaint)
        alice.hears("four")
        return
    network.wait_for("history", 1)
    alice.page.clock.run_for(2000)
    alice.hears("four")
    assert alice.texts() == ["one", "two", "three", "four"]


def test_a_kicked_user_rejoins_only_on_demand(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), "tea")
    name = alice.page.locator("#me").text_content()
    network.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    reconnect(network)
    expect(alice.page.get_by_role("status")).to_be_hidden()
    alice.page.reload()
    alice.log.get_by_role("button", name="Join again").click()
    expect(alice.members).to_contain_text("(you)")
    assert [request["room"] for request in network.asked("join")] == ["tea", "tea"]


def test_rejoining_without_a_connection_happens_once_there_is_one(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), "tea")
    name = alice.page.locator("#me").text_content()
    network.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    network.is_silent = True
    alice.page.reload()
    alice.log.get_by_role("button", name="Join again").click()
    network.is_silent = False
    network.cut()
    expect(alice.members).to_contain_text("(you)")


def test_a_kicked_user_can_rejoin_by_the_name_of_the_room(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name(), "tea")
    name = alice.page.locator("#me").text_content()
    network.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    alice.join("tea")
    network.wait_for("join", 2)
    expect(alice.members).to_contain_text("(you)")


def test_a_message_that_has_arrived_is_not_sent_again_under_another_name(server: Served, windows: Windows) -> None:
    room, name, another = new_name(), new_name(), new_name()
    alice, network = enter(windows, server, name, room)
    network.loses = {"ack", "message"}
    alice.say("only once")
    network.wait_for_loss("ack")
    network.loses = set()
    network.faults.append(refuse("name-taken", type="nick", name=name, times=1000))
    network.cut()
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.take_name(another)
    alice.hears("only once")
    network.wait_for_answers()
    assert len(network.asked("say")) == 1


def test_an_earlier_message_of_the_same_text_does_not_count_as_the_unsent_one(server: Served, windows: Windows) -> None:
    room, name, another = new_name(), new_name(), new_name()
    alice, network = enter(windows, server, name, room)
    alice.say("yes")
    alice.hears("yes")
    network.faults.append(ignore(type="say"))
    alice.say("yes")
    network.wait_for("say", 2)
    network.faults[:] = [refuse("name-taken", type="nick", name=name, times=1000)]
    alice.page.reload()
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.take_name(another)
    expect(alice.log.locator("[data-seq]")).to_have_count(2)
    expect(alice.log.locator(".unsent")).to_have_count(0)


def test_an_unsent_message_is_sent_before_the_room_is_left(server: Served, windows: Windows) -> None:
    room = new_name()
    alice, network = enter(windows, server, new_name())
    alice.join(room)
    expect(alice.page.get_by_role("heading", name=room)).to_be_visible()
    go_offline(alice, network)
    alice.say("goodbye")
    alice.page.locator("#leave").click()
    network.is_silent = False
    network.cut()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()
    assert [request["text"] for request in network.asked("say")] == ["goodbye", "/leave"]


def test_a_message_to_a_room_with_an_invalid_name_can_be_edited(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name())
    go_offline(alice, network)
    alice.join("my new room")
    alice.say("for the new room")
    network.is_silent = False
    network.cut()
    refused = alice.log.locator(".error").filter(has_text="for the new room")
    refused.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value("for the new room")


def test_a_late_answer_to_a_join_does_not_switch_rooms(server: Served, windows: Windows) -> None:
    alice, network = enter(windows, server, new_name())
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    network.loses = {"joined"}
    alice.join("slow")
    answer = network.wait_for_loss("joined")
    network.loses = set()
    alice.rooms.get_by_role("link", name="lobby").click()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()
    network.tell(answer)
    expect(alice.rooms.get_by_role("link", name="slow")).to_be_visible()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()


def test_a_name_chosen_without_a_connection_that_is_taken_is_reported(server: Served, windows: Windows) -> None:
    bob = new_name()
    windows.enter(server, bob)
    alice, network = enter(windows, server, new_name())
    go_offline(alice, network)
    alice.page.get_by_role("button", name="Change name").click()
    alice.page.get_by_label("Name", exact=True).fill(bob)
    alice.page.keyboard.press("Enter")
    network.is_silent = False
    network.cut()
    expect(alice.page.get_by_role("alert")).to_contain_text("taken")


def test_a_message_is_sent_before_all_of_many_rooms_have_been_joined(windows: Windows, slow_server: Command) -> None:
    alice, network = enter(windows, slow_server, "alice")
    rooms = json.dumps([f"room{number}" for number in range(60)])
    alice.page.add_init_script(f"localStorage.setItem('wschat / rooms', JSON.stringify({rooms}))")
    alice.page.reload()
    alice.say_and_wait("typed at once")
    assert len(network.asked("join")) < 60


# Records the pauses between attempts to connect, which are no integers, and shortens them to 1 ms.
NOTE_PAUSES = """
    window.pauses = [];
    const wait = window.setTimeout;
    window.setTimeout = (action, milliseconds, ...rest) => {
        const isPause = !Number.isInteger(milliseconds ?? 0);
        if (isPause) window.pauses.push(milliseconds);
        return wait(action, isPause ? 1 : milliseconds, ...rest);
    };
"""


def test_pauses_between_attempts_grow_and_are_random(windows: Windows) -> None:
    pages = [windows.open("about:blank") for _ in range(2)]
    with running("--port", "0") as server:
        for page in pages:
            page.add_init_script(NOTE_PAUSES)
            page.goto(http(server))
            expect(page.get_by_role("dialog")).to_be_visible()
    pauses = []
    for page in pages:
        until(page, "window.pauses.length >= 8")
        pauses.append(page.evaluate("window.pauses.slice(0, 8)"))
    longest = [min(20_000, 500 * 2**number) for number in range(8)]
    for own in pauses:
        assert all(most / 2 <= pause <= most for pause, most in zip(own, longest, strict=True))
    assert pauses[0] != pauses[1]


def test_messages_above_the_rate_limit_are_all_sent_later(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory", "--rate", "20/1") as server:
        alice = windows.enter(server, "alice")
        texts = [f"line {number}" for number in range(80)]
        for text in texts:
            alice.say(text)
        alice.expect_sent(texts[-1])
        assert alice.texts() == texts
