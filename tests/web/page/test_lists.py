"""The lists of rooms, members and unsent messages can be used even while they change."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import WebSocketRoute, expect

from tests.brokers.wiring import append
from tests.server.command import Served, running
from tests.web.page.test_log import chatting
from tests.web.page.wiring import Guest, Windows, http
from wschat.brokers.base import Draft
from wschat.brokers.sqlite.broker import SqliteBroker


def test_a_click_on_a_room_works_even_while_messages_arrive(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.join("tea")
    expect(alice.page.get_by_role("heading", name="tea", exact=True)).to_be_visible()
    lobby = alice.rooms.get_by_role("link", name=re.compile("^lobby"))
    lobby.hover()
    alice.page.mouse.down()
    with chatting(server, "bob") as bob:
        bob.send("one")
        expect(lobby).to_have_accessible_name(re.compile("1 unread"))
    alice.page.mouse.up()
    expect(alice.page.get_by_role("heading", name="lobby", exact=True)).to_be_visible()


def test_a_click_on_a_member_works_even_while_others_join_and_leave(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    with chatting(server, "carol"):
        alice.members.get_by_role("button", name="Mention carol").hover()
        alice.page.mouse.down()
        with chatting(server, "dave"):
            expect(alice.members).to_contain_text("dave")
            alice.page.mouse.up()
            expect(alice.field).to_have_value("carol: ")


def test_a_refused_message_can_be_discarded_even_while_others_are_sent(server: Served, windows: Windows) -> None:
    def spoil(ws: WebSocketRoute) -> None:
        server = ws.connect_to_server()
        ws.on_message(lambda request: server.send(str(request).replace('"wrong"', "0")))

    page = windows.open("about:blank", viewport={"width": 1100, "height": 400})
    page.route_web_socket("**", spoil)
    page.goto(http(server))
    alice = Guest(page)
    alice.take_name("alice")
    alice.say("so much" + "\n" * 20 + "that it has to be scrolled")
    alice.say("wrong")
    button = alice.log.get_by_role("button", name="Discard")
    button.hover()
    page.mouse.down()
    alice.say_and_wait("right")
    page.mouse.up()
    expect(button).to_have_count(0)


def test_a_room_can_be_searched_for_among_many(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    broker = SqliteBroker(path)
    append(broker, *(Draft(f"room-{number}", "bob", "Hello!") for number in range(300)))
    broker.close()
    with running("--port", "0", "--history", str(path)) as server:
        alice = windows.enter(server, "alice")
        expect(alice.rooms).to_contain_text("and 100 more")
        alice.rooms.get_by_label("Room to join").fill("M-299")
        others = alice.rooms.get_by_role("list", name="Other rooms").get_by_role("link")
        expect(others).to_have_count(1)
        expect(alice.rooms).not_to_contain_text("more")
        others.click()
        expect(alice.page.get_by_role("heading", name="room-299", exact=True)).to_be_visible()


def test_the_page_says_so_if_it_does_not_list_all_rooms(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    broker = SqliteBroker(path)
    append(broker, *(Draft(f"room-{number:04}", "bob", f"It is {number}") for number in range(1100)))
    broker.close()
    with running("--port", "0", "--history", str(path)) as server:
        alice = windows.enter(server, "alice")
        expect(alice.rooms).to_contain_text(re.compile("and [78][0-9]{2} more"))
        alice.page.get_by_label("Room to join").fill("room-1099")
        expect(alice.rooms).to_contain_text("There are more rooms. Type the full name of one")
        alice.page.keyboard.press("Enter")
        expect(alice.page.get_by_role("heading", name="room-1099", exact=True)).to_be_visible()
        alice.hears("It is 1099")


def test_the_search_field_does_not_move_while_a_name_is_typed(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    broker = SqliteBroker(path)
    append(broker, *(Draft(f"class-{number}", "bob", "Hello!") for number in (1, 11, 6, 20)))
    broker.close()
    with running("--port", "0", "--history", str(path)) as server:
        alice = windows.enter(server, "alice")
        others = alice.rooms.get_by_role("list", name="Other rooms").get_by_role("link")
        expect(others).to_have_text(["class-1", "class-6", "class-11", "class-20"])
        field = alice.page.get_by_label("Room to join")
        before = field.bounding_box()
        field.press_sequentially("class-1")
        expect(others).to_have_text(["class-1", "class-11"])
        assert field.bounding_box() == before
        field.fill("")
        for room in ("class-11", "class-6"):
            alice.rooms.get_by_role("link", name=room, exact=True).click()
            expect(alice.page.get_by_role("heading", name=room, exact=True)).to_be_visible()
        expect(alice.page.locator("#joined bdi")).to_have_text(["class-6", "class-11", "lobby"])


def test_a_hidden_button_takes_no_space_from_a_name(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    name = "a-name-of-23-characters"
    with chatting(server, name):
        shown, whisper = alice.members.get_by_text(name, exact=True), alice.members.get_by_role("button", name=f"Whisper to {name}")
        expect(shown).to_be_visible()
        assert shown.evaluate("name => name.scrollWidth <= name.clientWidth")
        shown.hover()
        expect(whisper).to_have_css("position", "static")
        alice.members.get_by_role("button", name=f"Mention {name}").focus()
        alice.page.keyboard.press("Tab")
        expect(whisper).to_be_focused()
        alice.page.keyboard.press("Enter")
        expect(alice.field).to_have_value(f"/msg {name} ")


def test_the_last_room_can_be_left_too(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice", "tea")
    leave = alice.page.get_by_role("button", name="Leave")
    leave.click()
    expect(alice.page.get_by_role("heading", name="lobby", exact=True)).to_be_visible()
    leave.click()
    expect(alice.log).to_contain_text("You are not in a room.")
    expect(leave).to_be_hidden()
