"""Limits on new rooms, per address and in total, and the paged list of rooms."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.brokers.wiring import append
from tests.chat.wiring import Client
from tests.concurrency import TIMEOUT
from tests.server.command import running
from tests.web.wiring import Http, OpenWeb, Web, plain
from wschat.brokers.base import Draft
from wschat.brokers.memory import MemoryBroker
from wschat.chat import room_list
from wschat.chat.access import Access
from wschat.chat.fields import MAX_ROOMS
from wschat.chat.rates import Rate
from wschat.chat.tokens import mint

# Three times as many at once, and then none during a test.
TWO_AN_HOUR = Rate(2, 3600.0)


def say_in(client: Client, room: str) -> Any:
    client.join(room)
    return client.ask(type="say", room=room, text="x")


def listed(answer: dict[str, Any]) -> list[str]:
    return [room["room"] for room in answer["rooms"]]


# New rooms


def test_new_rooms_of_an_address_are_limited_for_all_kinds_of_clients(open_web: OpenWeb) -> None:
    web = open_web(rooms_per_address=TWO_AN_HOUR)
    alice, bob = web.guests.v1("alice"), web.guests.v1("bob")
    assert [say_in(alice, f"a{number}")["type"] for number in range(3)] == ["ack"] * 3
    assert [web.post("x", f"b{number}").status for number in range(3)] == [201] * 3
    refused = say_in(bob, "c")
    assert (refused["code"], refused["text"]) == ("too-many-rooms", "Too many new rooms from one address: at most 2 in 3600 s.")
    assert 0 < refused["seconds"] <= 1800
    answer = web.post("x", "c")
    assert (answer.status, answer.code) == (429, "too-many-rooms")
    assert int(answer.headers["retry-after"]) > 0
    carol = web.guests.plain("/rooms/c?name=carol")
    carol.send("hello")
    assert carol.recv(TIMEOUT) == f"{refused['text']} Not sent: hello"
    for room in ("a0", "b2"):  # which exist
        assert say_in(bob, room)["type"] == "ack"
    assert web.get("/api/rooms/c/messages").json["messages"] == []


def test_other_addresses_are_not_affected(open_web: OpenWeb) -> None:
    web = open_web(rooms_per_address=Rate(1, 3600.0))
    assert [web.post("x", f"a{number}").status for number in range(4)] == [201, 201, 201, 429]
    with web.connect("127.0.0.2") as http:
        body = b'{"text":"x"}'
        http.send(b"POST /api/rooms/b/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert http.answer("POST").status == 201


def test_a_new_room_counts_once_for_many_concurrent_messages(open_web: OpenWeb) -> None:
    web = open_web(rooms_per_address=Rate(1, 3600.0))
    alice = web.guests.v1("alice", "tea")
    for _ in range(20):
        alice.tell(type="say", room="tea", text="x")
    assert alice.say("last") == 21
    assert say_in(alice, "coffee")["type"] == "ack"


def test_moderators_are_not_limited(open_web: OpenWeb) -> None:
    web = open_web(rooms_per_address=Rate(1, 3600.0), access=Access(moderators={"root": "open sesame"}))
    root = web.guests.v1(path="/?name=root&password=open+sesame")
    assert [say_in(root, f"a{number}")["type"] for number in range(10)] == ["ack"] * 10


def test_the_total_number_of_rooms_is_limited(open_web: OpenWeb) -> None:
    broker = MemoryBroker()
    append(broker, *(Draft(f"old{number}", "alice", "x") for number in range(8)))
    web = open_web(broker, max_rooms=10)
    alice = web.guests.v1("alice")
    assert [say_in(alice, f"new{number}").get("code") for number in range(4)] == [None, None, "too-many-rooms", "too-many-rooms"]
    assert say_in(alice, "old3")["type"] == "ack"
    assert web.post("x", "new9").json["text"] == "There are 10 rooms, and no more can be made."


def test_rooms_without_messages_do_not_count(open_web: OpenWeb) -> None:
    """Clients that only join rooms do not use up the limit."""
    web = open_web(max_rooms=2, rooms_per_address=TWO_AN_HOUR)
    alice, bob = web.guests.v1("alice"), web.guests.v1("bob")
    for number in range(50):
        alice.join(f"empty{number}")
    assert say_in(bob, "one")["type"] == "ack"
    assert say_in(bob, "two")["type"] == "ack"
    for number in range(50):
        alice.ask(type="leave", room=f"empty{number}")
    assert listed(web.get("/api/rooms").json) == ["one", "two"]


def test_the_limits_are_options_of_the_command() -> None:
    with running("--port", "0", "--max-rooms", "4", "--rooms-per-ip", "1/3600") as command:
        with Http(socket.create_connection((command.host, command.port), TIMEOUT)) as http:
            posted = [http.call(plain("POST", f"/api/rooms/r{number}/messages", b'{"text":"x"}')).status for number in range(4)]
        assert posted == [201, 201, 201, 429]


# The list of rooms


def test_the_list_is_paged_by_name(web: Web) -> None:
    for name in "dbace":
        web.post("x", name)
    alice = web.guests.v1("alice", "f")
    alice.join("a")
    pages = []
    answer = web.get("/api/rooms", limit=2).json
    while True:
        pages.append(listed(answer))
        if not answer["more"]:
            break
        answer = web.get("/api/rooms", limit=2, after=pages[-1][-1]).json
    assert pages == [["a", "b"], ["c", "d"], ["e", "f"]]
    answer = alice.ask(type="rooms", after="B", limit=3)
    assert (listed(answer), answer["more"]) == (["c", "d", "e"], True)
    assert alice.ask(type="rooms", after="e")["rooms"] == [{"room": "f", "members": 1, "last": 0}]
    assert web.get("/api/rooms").json.keys() == {"rooms"}, "without `more` if the list is complete"


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "x"}, {"limit": MAX_ROOMS + 1}, {"after": ""}, {"after": "a b"}])
def test_an_invalid_page_is_refused(web: Web, query: dict[str, object]) -> None:
    answer = web.get("/api/rooms", **query)
    assert (answer.status, answer.code) == (400, "bad-field")


def test_rooms_with_members_are_listed_even_if_there_are_too_many(open_web: OpenWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    """For clients that do not ask for pages."""
    monkeypatch.setattr(room_list, "MAX_ROOMS", 5)
    broker = MemoryBroker()
    append(broker, *(Draft(f"quiet{number}", "alice", "x") for number in range(10)))
    web = open_web(broker)
    web.guests.v1("alice", "zebra")
    web.guests.v1("bob", "quiet9")
    answer = web.get("/api/rooms").json
    assert answer["more"]
    assert answer["rooms"] == [
        *({"room": f"quiet{number}", "members": 0, "last": 1} for number in range(3)),
        {"room": "quiet9", "members": 1, "last": 1},
        {"room": "zebra", "members": 1, "last": 0},
    ]


def test_the_list_has_only_rooms_that_the_token_allows(open_web: OpenWeb) -> None:
    broker = MemoryBroker()
    append(broker, *(Draft(f"{kind}{number:02}", "alice", "x") for number in range(30) for kind in ("coffee", "tea")))
    secret = b"a secret that is long enough for HS256"
    web = open_web(broker, access=Access(secret))
    token = mint(secret, "alice", rooms=["tea*"])
    answer = web.get("/api/rooms", token=token, limit=20).json
    assert (listed(answer), answer["more"]) == ([f"tea{number:02}" for number in range(20)], True)
    answer = web.get("/api/rooms", token=token, limit=20, after="tea19").json
    assert (listed(answer), answer["more"]) == ([f"tea{number:02}" for number in range(20, 30)], False)


def test_members_with_and_without_a_name_are_counted(web: Web) -> None:
    bob, unnamed = web.guests.v1("bob", "tea"), web.guests.plain("/rooms/tea")
    web.follow("tea")

    def members() -> tuple[int, int]:
        (room,) = web.get("/api/rooms").json["rooms"]
        return room["members"], web.get("/api/rooms/tea/members").json["unnamed"]

    assert members() == (2, 1)
    unnamed.send("/nick carol")
    assert unnamed.recv(TIMEOUT) == "You are now carol."
    assert members() == (2, 0)
    unnamed.send("/leave")
    unnamed.recv(TIMEOUT)
    assert members() == (1, 0)
    assert bob.ask(type="leave", room="tea")["type"] == "ack"
