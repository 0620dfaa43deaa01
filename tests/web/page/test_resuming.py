"""The page and a server that does not answer, or not well: what it does about that, and what it says."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

import wschat
from tests.server.command import Command, Served, running
from tests.web.page.between import Between, enter, ignore, refuse, someone
from tests.web.page.wiring import Guest, Windows, http, until

TRIES_AGAIN = re.compile("lost|Connecting")


@pytest.fixture(scope="module")
def server() -> Iterator[Command]:
    """One for all."""
    with running("--port", "0", "--history", "memory", "--rate", "off") as server:
        yield server


@pytest.fixture
def slow_server() -> Iterator[Command]:
    """A chat that takes few requests at a time."""
    with running("--port", "0", "--history", "memory", "--rate", "5/1") as server:
        yield server


def post(server: Served, room: str, text: str) -> None:
    urllib.request.urlopen(f"{http(server)}api/rooms/{room}/messages", json.dumps({"text": text, "name": "script"}).encode()).close()


def come_back(between: Between) -> None:
    """Lose the connection, and have it again."""
    openings = len(between.asked("nick"))
    between.cut()
    between.wait_for("nick", openings + 1)


def go_offline(guest: Guest, between: Between) -> None:
    """Lose the connection, and find no other."""
    between.is_silent = True
    between.cut()
    expect(guest.page.get_by_role("status")).to_contain_text("Connecting")


def live(guest: Guest, between: Between, seconds: int) -> None:
    """Let time pass, but not so fast that answers come late."""
    for _ in range(0, seconds, 5):
        guest.page.clock.run_for(5000)
        between.wait_for_answers()


def test_what_is_missing_in_the_middle_is_told_in_its_place(server: Served, windows: Windows) -> None:
    room = "holes"
    alice, between = enter(windows, server, someone(), room)
    alice.say("one")
    alice.hears("one")
    with wschat.connect(f"{server.url}?name={someone()}", subprotocols=["wschat.v1"]) as ws:
        ws.recv()
        ws.send(json.dumps({"id": 1, "type": "join", "room": room}))
        joined = json.loads(ws.recv())
    said = [{**joined["messages"][0], "seq": seq, "text": f"number {seq}"} for seq in (2, 4, 5, 8)]
    damaged = {**joined, "messages": said, "last": 8, "gap": True, "more": False}
    between.faults.append(lambda request: {**damaged, "id": request["id"]} if request["type"] == "join" else None)
    come_back(between)
    alice.hears("number 8")
    items = alice.log.locator(".message .text, .notice .text")
    missing = ("1 message is missing here", "2 messages are missing here")
    expect(items).to_contain_text(["one", "number 2", missing[0], "number 4", "number 5", missing[1], "number 8"])


def test_a_network_that_is_gone_in_silence_is_noticed(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), clock=True)
    between.wait_for_answers()
    between.is_silent = True
    alice.page.clock.run_for(40_000)
    expect(alice.page.get_by_role("status")).to_contain_text(TRIES_AGAIN)


@pytest.mark.parametrize("waking", ["window.dispatchEvent(new Event('online'))", "document.dispatchEvent(new Event('visibilitychange'))"])
def test_it_is_noticed_sooner_when_the_page_wakes_up(server: Served, windows: Windows, waking: str) -> None:
    alice, between = enter(windows, server, someone(), clock=True)
    between.wait_for_answers()
    between.is_silent = True
    alice.page.clock.run_for(4000)
    alice.page.evaluate(waking)
    alice.page.clock.run_for(7000)
    expect(alice.page.get_by_role("status")).to_contain_text(TRIES_AGAIN)


def test_a_quiet_page_asks_for_little(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), clock=True)
    between.wait_for_answers()
    before = len(between.requests)
    live(alice, between, 60)
    kinds = [request["type"] for request in between.requests[before:]]
    assert kinds.count("rooms") <= 1
    assert 1 <= len(kinds) <= 4


def test_a_hidden_page_does_not_ask_for_rooms(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), clock=True)
    alice.page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    between.wait_for_answers()
    before = len(between.asked("rooms"))
    live(alice, between, 120)
    assert len(between.asked("rooms")) == before


def test_who_cannot_be_let_in_just_now_comes_in_later(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), clock=True)
    between.faults.append(refuse("unavailable", type="join", times=2))
    come_back(between)
    for tries in (2, 3):
        between.wait_for("join", tries)
        alice.page.clock.run_for(2000)
    post(server, "lobby", "Are you there?")
    alice.hears("Are you there?")
    expect(alice.log.locator(".error")).to_have_count(0)


def test_who_is_not_let_in_any_more_is_told_and_can_try_again(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone())
    between.faults.append(refuse("banned", "You are banned.", type="join"))
    come_back(between)
    expect(alice.log.locator(".error")).to_contain_text("You are banned.")
    alice.log.get_by_role("button", name="Join again").click()
    post(server, "lobby", "Welcome back.")
    alice.hears("Welcome back.")


@pytest.mark.parametrize(("code", "complaint"), [("unavailable", None), ("forbidden", "messages are missing here. Sorry.")])
def test_what_cannot_be_fetched_just_now_is_not_missing(server: Served, windows: Windows, code: str, complaint: str | None) -> None:
    alice, between = enter(windows, server, someone(), room := someone(), clock=True)
    between.faults.append(refuse(code, type="history"))
    post(server, room, "one")
    alice.hears("one")
    between.hides = {2, 3}
    for text in ("two", "three", "four"):
        post(server, room, text)
    if complaint:
        expect(alice.log).to_contain_text(complaint)
        alice.hears("four")
        return
    between.wait_for("history", 1)
    alice.page.clock.run_for(2000)
    alice.hears("four")
    assert alice.texts() == ["one", "two", "three", "four"]


def test_who_was_put_out_does_not_come_back_without_being_asked(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), "tea")
    name = alice.page.locator("#me").text_content()
    between.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    come_back(between)
    expect(alice.page.get_by_role("status")).to_be_hidden()
    alice.page.reload()
    alice.log.get_by_role("button", name="Join again").click()
    expect(alice.members).to_contain_text("(you)")
    assert [request["room"] for request in between.asked("join")] == ["tea", "tea"]


def test_who_wants_to_come_back_while_there_is_no_connection_does_when_there_is_one(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), "tea")
    name = alice.page.locator("#me").text_content()
    between.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    between.is_silent = True
    alice.page.reload()
    alice.log.get_by_role("button", name="Join again").click()
    between.is_silent = False
    between.cut()
    expect(alice.members).to_contain_text("(you)")


def test_who_wants_to_come_back_may_name_the_room(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone(), "tea")
    name = alice.page.locator("#me").text_content()
    between.tell({"type": "member", "room": "tea", "name": name, "event": "kick"})
    expect(alice.log.get_by_role("button", name="Join again")).to_be_visible()
    alice.join("tea")
    between.wait_for("join", 2)
    expect(alice.members).to_contain_text("(you)")


def test_what_has_arrived_is_not_said_again_by_another_name(server: Served, windows: Windows) -> None:
    room, name, another = someone(), someone(), someone()
    alice, between = enter(windows, server, name, room)
    between.loses = {"ack", "message"}
    alice.say("only once")
    between.wait_for_loss("ack")
    between.loses = set()
    between.faults.append(refuse("name-taken", type="nick", name=name, times=1000))
    between.cut()
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.take_name(another)
    alice.hears("only once")
    between.wait_for_answers()
    assert len(between.asked("say")) == 1


def test_the_same_text_from_before_is_not_taken_for_what_has_not_arrived(server: Served, windows: Windows) -> None:
    room, name, another = someone(), someone(), someone()
    alice, between = enter(windows, server, name, room)
    alice.say("yes")
    alice.hears("yes")
    between.faults.append(ignore(type="say"))
    alice.say("yes")
    between.wait_for("say", 2)
    between.faults[:] = [refuse("name-taken", type="nick", name=name, times=1000)]
    alice.page.reload()
    alice.page.get_by_role("button", name="Choose another name").click()
    alice.take_name(another)
    expect(alice.log.locator("[data-seq]")).to_have_count(2)
    expect(alice.log.locator(".unsent")).to_have_count(0)


def test_what_was_typed_is_said_before_the_room_is_left(server: Served, windows: Windows) -> None:
    room = someone()
    alice, between = enter(windows, server, someone())
    alice.join(room)
    expect(alice.page.get_by_role("heading", name=room)).to_be_visible()
    go_offline(alice, between)
    alice.say("goodbye")
    alice.page.locator("#leave").click()
    between.is_silent = False
    between.cut()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()
    assert [request["text"] for request in between.asked("say")] == ["goodbye", "/leave"]


def test_what_was_typed_into_a_room_that_cannot_be_is_given_back(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone())
    go_offline(alice, between)
    alice.join("my new room")
    alice.say("for the new room")
    between.is_silent = False
    between.cut()
    refused = alice.log.locator(".error").filter(has_text="for the new room")
    refused.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value("for the new room")


def test_who_has_gone_on_to_another_room_meanwhile_is_not_called_back(server: Served, windows: Windows) -> None:
    alice, between = enter(windows, server, someone())
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    between.loses = {"joined"}
    alice.join("slow")
    answer = between.wait_for_loss("joined")
    between.loses = set()
    alice.rooms.get_by_role("link", name="lobby").click()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()
    between.tell(answer)
    expect(alice.rooms.get_by_role("link", name="slow")).to_be_visible()
    expect(alice.page.get_by_role("heading", name="lobby")).to_be_visible()


def test_a_name_that_was_chosen_without_a_connection_and_is_taken_is_soon_asked_for_again(server: Served, windows: Windows) -> None:
    bob = someone()
    windows.enter(server, bob)
    alice, between = enter(windows, server, someone())
    go_offline(alice, between)
    alice.page.get_by_role("button", name="Change name").click()
    alice.page.get_by_label("Name", exact=True).fill(bob)
    alice.page.keyboard.press("Enter")
    between.is_silent = False
    between.cut()
    expect(alice.page.get_by_role("alert")).to_contain_text("taken")


def test_what_was_typed_does_not_wait_for_a_hundred_rooms(windows: Windows, slow_server: Command) -> None:
    alice, between = enter(windows, slow_server, "alice")
    rooms = json.dumps([f"room{number}" for number in range(60)])
    alice.page.add_init_script(f"localStorage.setItem('wschat / rooms', JSON.stringify({rooms}))")
    alice.page.reload()
    alice.say("typed at once")
    expect(alice.message("typed at once").get_by_role("img", name="Sent", exact=True)).to_be_visible()
    assert len(between.asked("join")) < 60


# Notes the pauses between two openings, which are no round numbers, and cuts them short.
NOTE_PAUSES = """
    window.pauses = [];
    const wait = window.setTimeout;
    window.setTimeout = (action, milliseconds, ...rest) => {
        const isPause = !Number.isInteger(milliseconds ?? 0);
        if (isPause) window.pauses.push(milliseconds);
        return wait(action, isPause ? 1 : milliseconds, ...rest);
    };
"""


def test_pauses_grow_and_are_not_the_same_for_all(windows: Windows) -> None:
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


def test_whoever_types_faster_than_the_server_takes_loses_nothing(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory", "--rate", "20/1") as server:
        alice = windows.enter(server, "alice")
        texts = [f"line {number}" for number in range(80)]
        for text in texts:
            alice.say(text)
        expect(alice.message(texts[-1]).get_by_role("img", name="Sent", exact=True)).to_be_visible()
        assert alice.texts() == texts
