"""The actions kick, mute, ban, unban and op, as moderators and members see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Guests
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import until_logged
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access

ROOT = "/?name=root&password=secret"
ACCESS = Access(moderators={"root": "secret"})
# All clients of these tests connect through a trusted proxy.
PROXIED = {"server_options": {"trusted_proxies": ["127.0.0.0/8"]}}


@pytest.fixture
def chat(open_chat: ChatFactory) -> Guests:
    return open_chat(MemoryBroker(), access=ACCESS, **PROXIED)


@pytest.fixture
def root(chat: Guests) -> Client:
    return chat.v1(path=ROOT, room="tea")


def from_address(address: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": address}}


def notice(client: Client) -> str:
    return str(client.next("notice")["text"])


def test_the_name_of_a_moderator_needs_the_password(chat: Guests) -> None:
    for path in ("/?name=root", "/?name=ROOT&password=wrong", "/?name=root&password="):
        with pytest.raises(wschat.OpeningFailed) as failed:
            chat.connect(path)
        assert failed.value.status == 401
        assert failed.value.headers["www-authenticate"].startswith("Basic ")
    guest = chat.v1("guest")
    assert guest.ask(type="nick", name="Root")["code"] == "forbidden"
    assert chat.v1(path=ROOT).ask(type="nick", name="other")["code"] == "forbidden"


def test_wrong_passwords_are_limited_by_address(open_chat: ChatFactory) -> None:
    chat = open_chat(MemoryBroker(), access=Access(moderators={"root": "secret"}), **PROXIED)  # which counts wrong passwords

    def refusal(path: str, address: str) -> wschat.OpeningFailed:
        with pytest.raises(wschat.OpeningFailed) as failed:
            chat.connect(path, **from_address(address))
        return failed.value

    statuses = [refusal(f"/?name=root&password={number}", "203.0.113.1").status for number in range(31)]
    assert statuses == [401] * 30 + [429]
    last = refusal(ROOT, "203.0.113.1")  # otherwise the right password would be recognizable
    assert last.status == 429
    assert 1 <= int(last.headers["retry-after"]) <= 6
    chat.connect("/?name=alice", **from_address("203.0.113.1"))
    for _ in range(40):  # right passwords do not count
        chat.connect(ROOT, **from_address("203.0.113.3")).close()
    chat.connect(ROOT, **from_address("203.0.113.2"))


def test_a_page_of_another_origin_cannot_use_up_password_attempts(open_chat: ChatFactory) -> None:
    chat = open_chat(MemoryBroker(), access=Access(moderators={"root": "secret"}))
    for _ in range(40):
        with pytest.raises(wschat.OpeningFailed) as failed:
            chat.connect("/?name=root&password=wrong", origin="https://evil.test")
        assert failed.value.status == 403
    chat.connect(ROOT)


def test_a_moderator_with_two_connections_is_one_member(chat: Guests, root: Client) -> None:
    again = chat.v1(path=ROOT, room="tea")
    guest = chat.v1("guest", "tea")
    assert guest.ask(type="who", room="tea")["members"] == ["root", "guest"]
    again.ws.close()
    assert guest.ask(type="whisper", to="root", text="still there?")["type"] == "ack"
    assert root.next("whisper")["text"] == "still there?"
    root.ws.close()
    assert guest.next("member") == {"type": "member", "room": "tea", "name": "root", "event": "leave"}


@pytest.mark.parametrize("kind", ["kick", "mute", "ban", "unban", "op"])
def test_only_moderators_may_moderate(chat: Guests, kind: str) -> None:
    alice, _ = chat.v1("alice", "tea"), chat.v1("bob", "tea")
    error = alice.ask(type=kind, room="tea", name="bob")
    assert (error["code"], error["text"]) == ("forbidden", "Only a moderator of tea may do that.")


def test_moderators_of_all_rooms_cannot_be_moderated(chat: Guests, root: Client) -> None:
    alice = chat.v1("alice", "tea")
    root.ask(type="op", room="tea", name="alice")
    for kind in ("kick", "mute", "ban"):
        assert alice.ask(type=kind, room="tea", name="root")["code"] == "forbidden"


def test_a_kick_removes_a_member_and_all_members_are_told(chat: Guests, root: Client) -> None:
    bob, carol = chat.v1("bob", "tea"), chat.v1("carol", "tea")
    bob.join("coffee")
    assert root.ask(type="kick", room="tea", name="Bob")["type"] == "ack"
    assert bob.next(lambda event: event.get("event") == "kick")["room"] == "tea"
    assert notice(bob) == "root removed you from tea."
    assert carol.next(lambda event: event.get("event") == "kick")["name"] == "bob"
    assert bob.ask(type="say", room="tea", text="hello?")["code"] == "not-in-room"
    assert bob.say("still here", "coffee") == 1
    bob.join("tea")
    assert root.ask(type="kick", room="tea", name="nobody")["code"] == "no-such-person"


def test_a_notice_names_the_room_and_the_event_that_it_explains(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea")
    for kind in ("mute", "op", "kick", "ban", "unban"):
        root.ask(type=kind, room="tea", name="bob")
        notice = bob.next("notice")
        assert (notice["room"], notice["event"]) == ("tea", kind)
        if kind == "kick":
            bob.join("tea")
    root.ask(type="mute", room="tea", name="bob", seconds=0)
    assert bob.next("notice")["event"] == "unmute"
    assert bob.ask(type="help").keys() == {"type", "text", "id"}


def test_a_plain_text_client_can_be_kicked(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="lobby"), chat.plain("/?name=bob")
    root.ask(type="kick", room="lobby", name="bob")
    assert bob.recv(TIMEOUT) == "root removed you from lobby."
    bob.send("hello?")
    assert bob.recv(TIMEOUT) == "You are not in a room. Type /join ROOM to enter one."


def test_a_muted_member_is_told_once_with_the_time_left(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea")
    assert root.ask(type="mute", room="tea", name="bob", seconds=600)["type"] == "ack"
    assert notice(bob) == "root muted you in tea for 10 min."
    bob.tell(type="say", room="tea", text="one")
    error = bob.next("error")
    assert (error["code"], error["text"]) == ("muted", "You are muted in tea for another 10 min.")
    assert 590 < error["seconds"] <= 600
    bob.tell(type="say", room="tea", text="two")
    assert bob.ask(type="say", room="tea", text="three", id=3)["code"] == "muted"  # a request with an id gets a reply
    assert [event for event in bob.seen() if event["type"] == "error"] == []
    bob.join("coffee")
    assert bob.say("not muted here", "coffee") == 1
    assert bob.ask(type="typing", room="tea")["code"] == "muted"
    assert bob.ask(type="nick", name="robert")["code"] == "muted"
    assert root.ask(type="history", room="tea")["messages"] == []


def test_a_mute_in_plain_text(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="lobby"), chat.plain("/?name=bob")
    root.ask(type="mute", room="lobby", name="bob", seconds=60)
    assert bob.recv(TIMEOUT) == "root muted you in lobby for 60 s."
    bob.send("hello?")
    assert bob.recv(TIMEOUT) == "You are muted in lobby for another 60 s. Not sent: hello?"
    bob.send("hello??")
    bob.send("/who")
    assert bob.recv(TIMEOUT) == "In lobby: bob, root."
    root.ask(type="mute", room="lobby", name="bob", seconds=0)
    assert bob.recv(TIMEOUT) == "root unmuted you in lobby."
    bob.send("thanks")
    assert bob.recv(TIMEOUT) == "bob: thanks"


def test_a_mute_expires(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea")
    root.ask(type="mute", room="tea", name="bob", seconds=0.2)
    eventually(lambda: bob.ask(type="say", room="tea", text="free")["type"] == "ack")


def test_lifting_a_mute_or_ban_that_does_not_exist_is_an_error(chat: Guests, root: Client) -> None:
    assert root.ask(type="mute", room="tea", name="bob", seconds=0)["code"] == "not-muted"
    assert root.ask(type="unban", room="tea", name="bob")["code"] == "not-banned"


def test_a_ban_removes_a_member_and_refuses_a_new_join(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea")
    assert root.ask(type="ban", room="tea", name="bob", seconds=3600)["type"] == "ack"
    assert bob.next(lambda event: event.get("event") == "ban")["name"] == "bob"
    assert notice(bob) == "root banned you for 60 min from tea."
    error = bob.ask(type="join", room="tea")
    assert (error["code"], error["text"]) == ("banned", "You are banned from tea for another 60 min.")
    assert bob.ask(type="history", room="tea")["code"] == "banned"
    bob.join("coffee")
    assert root.ask(type="unban", room="tea", name="BOB")["type"] == "ack"
    bob.join("tea")


def test_a_ban_includes_the_address(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea", **from_address("203.0.113.7"))
    root.ask(type="ban", room="tea", name="bob")
    assert bob.ask(type="nick", name="robert")["type"] == "ack"
    assert bob.ask(type="join", room="tea")["code"] == "banned"
    assert chat.v1("carol", **from_address("203.0.113.7")).ask(type="join", room="tea")["code"] == "banned"
    chat.v1("dave", "tea", **from_address("203.0.113.8"))
    root.ask(type="unban", room="tea", name="bob")
    bob.join("tea")


def test_an_address_can_be_banned(chat: Guests, root: Client) -> None:
    bob, dave = chat.v1("bob", "tea", **from_address("2001:db8::1")), chat.v1("dave", "tea", **from_address("2001:db8:0:1::1"))
    assert root.ask(type="say", room="tea", text="/ban 2001:db8::1")["type"] == "ack"
    assert notice(bob) == "root banned you from tea."
    assert bob.ask(type="join", room="tea")["code"] == "banned"
    neighbour = chat.v1("bobby", **from_address("2001:db8::beef"))  # in the same /64, where a host can take any address
    assert neighbour.ask(type="join", room="tea")["code"] == "banned"
    assert dave.say("not me") == 1
    assert root.ask(type="say", room="tea", text="/unban 2001:db8::1")["type"] == "ack"
    bob.join("tea")


def test_a_ban_of_an_address_removes_members_without_a_name(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="lobby"), chat.plain(**from_address("203.0.113.7"))
    root.ask(type="ban", room="lobby", name="203.0.113.7", seconds=60)
    assert bob.recv(TIMEOUT) == "root banned you for 60 s from lobby."
    bob.send("/join lobby")
    assert bob.recv(TIMEOUT) == "You are banned from lobby for another 60 s."


def test_a_ban_of_0_seconds_lifts_it_for_the_name_and_the_address(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", **from_address("203.0.113.7"))
    root.ask(type="ban", room="tea", name="bob")
    assert root.ask(type="ban", room="tea", name="bob", seconds=0)["type"] == "ack"
    bob.join("tea")
    root.ask(type="ban", room="tea", name="bob")
    root.ask(type="unban", room="tea", name="203.0.113.7")
    assert chat.v1("carol", **from_address("203.0.113.7")).ask(type="join", room="tea")["type"] == "joined"
    assert bob.ask(type="join", room="tea")["code"] == "banned"


def test_an_address_can_be_muted(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", "tea", **from_address("2001:db8::1"))
    assert root.ask(type="say", room="tea", text="/mute 2001:DB8:0::1 60")["type"] == "ack"
    assert bob.ask(type="say", room="tea", text="hi")["code"] == "muted"


def test_a_plain_text_client_banned_from_its_room_is_closed_with_1008(chat: Guests) -> None:
    root = chat.v1(path=ROOT, room="lobby")
    root.ask(type="ban", room="lobby", name="bob", seconds=60)
    with pytest.raises(wschat.ConnectionClosed, match="1008 You are banned from lobby for another 60 s"):
        chat.connect("/?name=bob").recv(TIMEOUT)


def test_a_ban_removes_other_members_with_the_same_address(chat: Guests, root: Client) -> None:
    chat.v1("bob", "tea", **from_address("203.0.113.7"))
    other = chat.v1("bobs-other-name", "tea", **from_address("203.0.113.7"))
    root.ask(type="ban", room="tea", name="bob")
    assert notice(other) == "root banned you from tea."
    assert other.ask(type="say", room="tea", text="still here?")["code"] == "not-in-room"


@pytest.mark.parametrize("kind", ["mute", "ban"])
def test_a_mute_or_ban_by_a_moderator_of_all_rooms_revokes_op(chat: Guests, root: Client, kind: str) -> None:
    bob, carol = chat.v1("bob", "tea"), chat.v1("carol", "tea")
    for name in ("bob", "carol"):
        root.ask(type="op", room="tea", name=name)
    assert carol.ask(type=kind, room="tea", name="bob")["code"] == "forbidden"  # neither outranks the other
    assert root.ask(type=kind, room="tea", name="bob", seconds=60)["type"] == "ack"
    if kind == "mute":
        assert bob.ask(type="say", room="tea", text="hi")["code"] == "muted"
    else:
        assert bob.ask(type="join", room="tea")["code"] == "banned"
    assert bob.ask(type="kick", room="tea", name="carol")["code"] == "forbidden"


def test_an_unban_and_a_mute_of_an_address_are_announced(chat: Guests, root: Client) -> None:
    bob = chat.v1("bob", **from_address("203.0.113.7"))
    root.ask(type="ban", room="tea", name="bob")
    root.ask(type="unban", room="tea", name="bob")
    assert notice(bob) == "root unbanned you from tea."
    bob.join("tea")
    root.ask(type="mute", room="tea", name="203.0.113.7", seconds=60)
    assert notice(bob) == "root muted you in tea for 60 s."


def test_a_member_is_told_once_about_the_mute_of_each_room(chat: Guests, root: Client) -> None:
    root.join("coffee")
    bob = chat.v1("bob", "tea")
    bob.join("coffee")
    for room in ("tea", "coffee"):
        root.ask(type="mute", room=room, name="bob")
    bob.join("milk")
    for room in ("tea", "coffee", "milk", "tea", "coffee"):
        bob.tell(type="typing", room=room)
        bob.tell(type="say", room=room, text="hi")
    assert [event["text"] for event in bob.seen() if event["type"] == "error"] == ["You are muted in tea.", "You are muted in coffee."]
    root.ask(type="mute", room="tea", name="bob", seconds=0)
    bob.say("free")
    root.ask(type="mute", room="tea", name="bob")
    bob.tell(type="say", room="tea", text="hi")
    assert [event["text"] for event in bob.seen() if event["type"] == "error"] == ["You are muted in tea."]


def test_every_refused_command_gets_a_reply(chat: Guests) -> None:
    root, bob = chat.v1(path=ROOT, room="lobby"), chat.plain("/?name=bob")
    for room in ("tea", "milk"):
        root.ask(type="ban", room=room, name="bob")
    for room in ("tea", "milk", "milk"):
        bob.send(f"/join {room}")
        assert bob.recv(TIMEOUT) == f"You are banned from {room}."


def test_a_guest_is_a_moderator_until_it_disconnects(chat: Guests, root: Client) -> None:
    bob, carol = chat.v1("bob", "tea"), chat.v1("carol", "tea")
    assert root.ask(type="op", room="tea", name="bob")["type"] == "ack"
    assert notice(bob) == "root made you a moderator of tea."
    assert carol.next(lambda event: event.get("event") == "op")["name"] == "bob"
    assert bob.ask(type="kick", room="tea", name="carol")["type"] == "ack"
    assert bob.ask(type="kick", room="coffee", name="carol")["code"] == "forbidden"
    bob.ws.close()
    impostor = chat.v1("eve")
    eventually(lambda: impostor.ask(type="nick", name="bob")["type"] == "ack")
    assert impostor.ask(type="kick", room="tea", name="carol")["code"] == "forbidden"


def test_the_actions_of_moderators_are_logged(chat: Guests, root: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    chat.v1("bob", "tea")
    root.ask(type="mute", room="tea", name="bob", seconds=60)
    assert until_logged(caplog, "root: mute of bob in tea for 60 s").name == "wschat.chat"
    root.ask(type="kick", room="tea", name="bob")
    until_logged(caplog, "root: kick of bob in tea")


def test_mutes_and_bans_survive_a_restart(open_chat: ChatFactory, tmp_path: Path) -> None:
    def start() -> tuple[Guests, Callable[[], None]]:
        broker = SqliteBroker(tmp_path / "history")
        guests = open_chat(broker, access=ACCESS)

        def stop() -> None:
            guests.server.stop()
            broker.close()

        return guests, stop

    guests, stop = start()
    root = guests.v1(path=ROOT, room="tea")
    root.ask(type="ban", room="tea", name="bob", seconds=3600)
    root.ask(type="mute", room="tea", name="carol")
    root.ws.close()
    stop()
    guests, _ = start()
    assert guests.v1("bob").ask(type="join", room="tea")["text"] == "You are banned from tea for another 60 min."
    assert guests.v1("carol", "tea").ask(type="say", room="tea", text="hi")["text"] == "You are muted in tea."


def test_the_moderators_of_a_room_are_listed(chat: Guests, root: Client) -> None:
    alice = chat.v1("alice")
    assert alice.join("tea")["moderators"] == ["root"]
    assert "moderators" not in alice.join("coffee")
    root.ask(type="op", room="tea", name="alice")
    alice.ask(type="leave", room="tea")
    guest = chat.v1("guest")
    assert guest.join("tea")["moderators"] == ["root"]
    alice.join("tea")
    joined = guest.next("member")
    assert (joined["event"], joined["name"], joined["moderator"]) == ("join", "alice", True)
    assert chat.v1("other").join("tea")["moderators"] == ["alice", "root"]
    assert "moderator" not in guest.next("member")
