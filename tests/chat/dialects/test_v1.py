"""The dialect `wschat.v1`, as a client sees it."""

from __future__ import annotations

import json
import time

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.protocol.wire import TEXT, stream
from tests.server.raw import Raw
from tests.server.raw import request as opening
from wschat.brokers.memory import MemoryBroker
from wschat.chat.budgets import Budgets
from wschat.chat.rates import Rate
from wschat.v1 import SUBPROTOCOL


def test_a_client_gets_a_welcome_and_is_in_no_room(guests: Guests) -> None:
    ws = guests.connect("/?name=alice", subprotocols=[SUBPROTOCOL])
    welcome = json.loads(ws.recv(TIMEOUT))
    assert (welcome["type"], welcome["name"]) == ("welcome", "alice")
    assert welcome["server"].startswith("wschat/")
    plain = guests.plain()
    plain.send("hello")
    plain.recv(TIMEOUT)
    ws.send('{"type":"rooms","id":1}')
    assert json.loads(ws.recv(TIMEOUT)) == {"type": "rooms", "id": 1, "rooms": [{"room": "lobby", "members": 1, "last": 1}]}


def test_the_welcome_names_the_rate(open_chat: ChatFactory) -> None:
    ws = open_chat(budgets=Budgets(Rate(5, 2))).connect(subprotocols=[SUBPROTOCOL])
    assert json.loads(ws.recv(TIMEOUT))["limits"] == {"requests": 5, "seconds": 2}


def test_a_message_reaches_all_members_and_is_acknowledged(guests: Guests) -> None:
    alice, bob, elsewhere = guests.v1("alice", "tea"), guests.v1("bob", "Tea"), guests.v1("carol", "coffee")
    before = time.time()
    assert alice.ask(type="say", room="TEA", text="hi", id="one") == {"type": "ack", "id": "one", "seq": 1}
    message = bob.next("message")
    assert abs(message.pop("time") - before) < TIMEOUT
    assert message == {"type": "message", "room": "tea", "seq": 1, "from": "alice", "text": "hi"}
    assert alice.next("message")["text"] == "hi"
    assert elsewhere.seen() == []


def test_plain_text_and_v1_clients_share_a_room(guests: Guests) -> None:
    v1, plain = guests.v1("program", "lobby"), guests.plain("/?name=person")
    plain.send("hello")
    assert plain.recv(TIMEOUT) == "person: hello"
    assert v1.next("message")["text"] == "hello"
    v1.say("hello yourself", "lobby")
    assert plain.recv(TIMEOUT) == "program: hello yourself"


def test_a_request_without_an_id_has_no_ack(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    alice.tell(type="say", room="tea", text="no answer")
    assert alice.next("message")["text"] == "no answer"
    assert alice.seen() == []


def test_a_message_is_sent_before_its_ack_even_if_requests_are_pipelined(guests: Guests) -> None:
    with Raw.to(guests.server) as raw:
        assert raw.ask(opening(target="/?name=alice", headers={"Sec-WebSocket-Protocol": SUBPROTOCOL})).status == 101
        requests = [{"type": "join", "room": "tea", "id": "j"}, *({"type": "say", "room": "tea", "text": "hi", "id": one} for one in "abc")]
        raw.send(stream([(TEXT, json.dumps(each).encode()) for each in requests], masked=True))
        events = [json.loads(raw.frame()[1]) for _ in range(8)]
    assert [event["type"] for event in events[:2]] == ["welcome", "joined"]
    for number, request_id in enumerate("abc", 1):
        message = next(place for place, event in enumerate(events) if event["type"] == "message" and event["seq"] == number)
        assert events.index({"type": "ack", "id": request_id, "seq": number}) > message


def test_two_slashes_are_an_escape_for_one(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    alice.say("//shrug")
    assert alice.next("message")["text"] == "/shrug"
    alice.say("//me waves")  # must not be unescaped to a /me
    assert alice.next("message")["text"] == "//me waves"


def test_every_request_gets_a_reply_even_if_the_client_leaves_the_room_at_once(guests: Guests) -> None:
    alice = guests.v1("alice")
    for number in range(50):
        alice.tell(type="join", room="tea", id=f"join {number}")
        alice.tell(type="say", room="tea", text="hi", id=f"say {number}")
        alice.tell(type="leave", room="tea", id=f"leave {number}")
    answers: dict[str, str] = {}
    while len(answers) < 150:
        event = alice.next(lambda event: "id" in event)
        answers[event["id"]] = event["type"]
    assert answers == {
        f"{what} {number}": answer for number in range(50) for what, answer in (("join", "joined"), ("say", "ack"), ("leave", "ack"))
    }


# Members


def test_members_are_told_about_joins_renames_and_leaves(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    bob = guests.v1("bob")
    assert bob.join("tea")["members"] == ["alice", "bob"]
    assert alice.next("member") == {"type": "member", "room": "tea", "name": "bob", "event": "join"}
    assert bob.ask(type="nick", name="Robert")["type"] == "ack"
    assert alice.next("member") == {"type": "member", "room": "tea", "name": "bob", "event": "rename", "new_name": "Robert"}
    assert alice.ask(type="who", room="tea", id="w") == {
        "type": "members",
        "id": "w",
        "room": "tea",
        "members": ["alice", "Robert"],
        "unnamed": 0,
    }
    assert bob.ask(type="leave", room="tea")["type"] == "ack"
    assert alice.next("member") == {"type": "member", "room": "tea", "name": "Robert", "event": "leave"}
    assert bob.seen() == [{"type": "member", "room": "tea", "name": "bob", "event": "rename", "new_name": "Robert"}]


def test_a_connection_that_ends_leaves_its_rooms(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    bob.ws.close()
    assert alice.next(lambda event: event.get("event") == "leave")["name"] == "bob"
    assert alice.ask(type="who", room="tea")["members"] == ["alice"]


def test_a_plain_text_client_that_takes_a_name_is_announced_as_a_member(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "lobby"), guests.plain()
    assert alice.ask(type="who", room="lobby")["unnamed"] == 1
    bob.send("/nick bob")
    assert alice.next("member") == {"type": "member", "room": "lobby", "name": "bob", "event": "join"}


def test_requests_for_a_room_that_was_not_joined_are_refused(guests: Guests) -> None:
    alice = guests.v1("alice")
    for request in ({"type": "say", "text": "hi"}, {"type": "typing"}, {"type": "leave"}):
        error = alice.ask(room="tea", **request)
        assert (error["type"], error["code"], error["text"]) == ("error", "not-in-room", "You are not in tea.")


def test_a_client_without_a_name_can_only_read(guests: Guests) -> None:
    nameless = guests.v1()
    for request in (
        {"type": "join", "room": "tea"},
        {"type": "say", "room": "tea", "text": "hi"},
        {"type": "whisper", "to": "alice", "text": "hi"},
        {"type": "typing", "room": "tea"},
    ):
        assert nameless.ask(**request)["code"] == "nameless"
    assert nameless.ask(type="rooms")["type"] == "rooms"
    assert nameless.ask(type="history", room="tea")["type"] == "history"
    assert nameless.ask(type="nick", name="bob")["type"] == "ack"
    assert nameless.join("tea")["members"] == ["bob"]


def test_a_name_in_use_is_refused_in_any_case_and_width(guests: Guests) -> None:
    guests.v1("alice")
    other = guests.v1("bob")
    for name in ("Alice", "ａｌｉｃｅ", "ALICE"):
        error = other.ask(type="nick", name=name)
        assert error["code"] == "name-taken"
        assert "is taken" in error["text"]
    with pytest.raises(wschat.ConnectionClosed, match="1008 The name ALICE is taken"):
        guests.connect("/?name=ALICE", subprotocols=[SUBPROTOCOL]).recv(TIMEOUT)


def test_joining_a_room_again_restarts_it_and_counts_once(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    alice.say("one")
    assert [message["text"] for message in bob.join("tea")["messages"]] == ["one"]
    alice.say("two")
    assert [event["text"] for event in bob.seen() if event["type"] == "message"] == ["one", "two"]
    bob.ask(type="leave", room="tea")
    assert alice.ask(type="who", room="tea")["members"] == ["alice"]


def test_a_connection_can_join_a_limited_number_of_rooms(guests: Guests) -> None:
    alice = guests.v1("alice")
    for number in range(100):
        alice.join(f"room-{number}")
    assert alice.ask(type="join", room="one-more")["code"] == "too-many-rooms"
    assert alice.ask(type="leave", room="room-1")["type"] == "ack"
    alice.join("one-more")


def test_rooms_lists_rooms_with_members_or_a_history(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    alice.say("one")
    alice.join("empty")
    alice.ask(type="leave", room="tea")
    assert alice.ask(type="rooms")["rooms"] == [{"room": "empty", "members": 1, "last": 0}, {"room": "tea", "members": 0, "last": 1}]


# Typing and whispers


def test_typing_reaches_the_others_in_the_room_and_is_not_kept(guests: Guests) -> None:
    alice, bob, elsewhere = guests.v1("alice", "tea"), guests.v1("bob", "tea"), guests.v1("carol", "coffee")
    assert alice.ask(type="typing", room="tea")["type"] == "ack"
    assert bob.next("typing") == {"type": "typing", "room": "tea", "name": "alice"}
    assert elsewhere.seen() == []
    assert all(event["type"] != "typing" for event in alice.seen())
    assert bob.ask(type="history", room="tea")["messages"] == []


def test_a_whisper_reaches_its_recipient_only_and_is_not_kept(guests: Guests) -> None:
    alice, bob, carol = guests.v1("alice", "tea"), guests.v1("bob", "tea"), guests.v1("carol", "tea")
    assert alice.ask(type="whisper", to="BOB", text="psst")["type"] == "ack"
    whisper = bob.next("whisper")
    assert (whisper["from"], whisper["to"], whisper["text"]) == ("alice", "bob", "psst")
    assert all(event["type"] != "whisper" for event in [*carol.seen(), *alice.seen()])
    assert carol.ask(type="history", room="tea")["messages"] == []
    assert alice.ask(type="whisper", to="nobody", text="psst")["code"] == "no-such-person"


def test_a_whisper_to_a_plain_text_client(guests: Guests) -> None:
    alice, bob = guests.v1("alice"), guests.plain("/?name=bob")
    alice.ask(type="whisper", to="bob", text="psst")
    assert bob.recv(TIMEOUT) == "alice whispers: psst"


# History


def test_the_history_backwards_and_forwards(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    for number in range(1, 11):
        alice.say(f"text {number}")

    def seqs(**fields: object) -> tuple[list[int], bool]:
        history = alice.ask(type="history", room="tea", **fields)
        return [message["seq"] for message in history["messages"]], history["more"]

    assert seqs() == (list(range(1, 11)), False)
    assert seqs(limit=3) == ([8, 9, 10], True)
    assert seqs(before=8, limit=3) == ([5, 6, 7], True)
    assert seqs(before=3, limit=3) == ([1, 2], False)
    assert seqs(before=1) == ([], False)
    assert seqs(since=0, limit=4) == ([1, 2, 3, 4], True)
    assert seqs(since=8, limit=4) == ([9, 10], False)
    assert seqs(since=10) == ([], False)
    message = alice.ask(type="history", room="tea", limit=1)["messages"][0]
    assert {key: message[key] for key in ("room", "seq", "from", "text")} == {"room": "tea", "seq": 10, "from": "alice", "text": "text 10"}
    assert alice.ask(type="history", room="tea", since=1, before=2)["code"] == "bad-request"


# Ids


def test_a_repeated_message_keeps_its_number(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    first = alice.say("once", id="x")
    alice.say("between")
    assert alice.say("once", id="x") == first
    alice.ws.close()
    again = guests.v1()
    while again.ask(type="nick", name="alice")["type"] == "error":
        pass  # the name is free once the server has noticed the disconnect
    again.join("tea")
    assert again.say("once", id="x") == first
    assert [event["text"] for event in bob.seen() if event["type"] == "message"] == ["once", "between"]


def test_an_id_stands_for_one_text_of_one_user(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    assert alice.say("mine", id=1) == 1
    assert bob.say("mine", id=1) == 2
    assert alice.say("as text", id="1") == 3
    assert alice.ask(type="say", room="tea", text="something else", id=1)["code"] == "id-used"


# Commands


def test_a_command_gets_the_reply_of_its_action(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    assert alice.ask(type="say", room="tea", text="/who")["members"] == ["alice", "bob"]
    assert alice.ask(type="say", room="tea", text="/msg bob psst")["type"] == "ack"
    assert bob.next("whisper")["text"] == "psst"
    assert alice.ask(type="say", room="tea", text="/me waves")["seq"] == 1
    assert bob.next("message")["text"] == "/me waves"
    assert "/nick NAME" in alice.ask(type="say", room="tea", text="/help")["text"]
    error = alice.ask(type="say", room="tea", text="/nick")
    assert (error["code"], error["text"]) == ("bad-command", "Usage: /nick NAME")


# Errors


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "bad-request", "JSON"),
        ("hello", "bad-request", "JSON"),
        ('"hello"', "bad-request", "JSON"),
        ("[" * 60_000, "bad-request", "JSON"),
        ('{"type": "say", "room": "tea", "text": ' + "9" * 5000 + "}", "bad-request", "JSON"),
        ('{"type": "dance"}', "bad-request", "ban, commands, help"),
        ('{"room": "tea"}', "bad-request", '"type" must be one of'),
        ('{"type": "say", "room": "tea"}', "bad-field", 'say: "text" is missing'),
        ('{"type": "say", "room": "no room", "text": "hi"}', "bad-field", 'say: "room" must be 1 to 32'),
        ('{"type": "say", "room": "tea", "text": "  "}', "bad-field", 'say: "text" must not be blank'),
        ('{"type": "say", "room": "tea", "text": 42}', "bad-field", 'say: "text" must be a string'),
        ('{"type": "say", "room": "tea", "text": "\\ud800"}', "bad-field", 'say: "text" must not contain'),
        ('{"type": "history", "room": "tea", "limit": 1001}', "bad-field", 'history: "limit" must be'),
        ('{"type": "who", "room": "tea", "rom": 1}', "bad-field", 'who: "rom" is unknown; the fields are'),
    ],
)
def test_an_invalid_request_gets_an_error_and_the_connection_goes_on(guests: Guests, text: str, code: str, message: str) -> None:
    alice = guests.v1("alice", "tea")
    alice.ws.send(text)
    error = alice.next("error")
    assert error["code"] == code
    assert message in error["text"]
    assert alice.say("still here") == 1


def test_an_error_has_the_id_of_its_request(guests: Guests) -> None:
    alice = guests.v1("alice")
    assert alice.ask(type="dance", id=7)["code"] == "bad-request"
    assert alice.ask(type="say", room=5, text="x", id="seven")["code"] == "bad-field"


def test_binary_messages_are_refused(guests: Guests) -> None:
    alice = guests.v1("alice")
    alice.ws.send(b"\0")
    assert alice.next("error")["text"] == "Messages must be text, not binary."


def test_a_client_above_the_rate_gets_an_error_once_or_for_each_id(open_chat: ChatFactory) -> None:
    chat = open_chat(MemoryBroker(), budgets=Budgets(Rate(2, 3600)))
    alice = chat.v1("alice", "tea")
    for number in range(5):
        alice.say(f"text {number}")
    alice.tell(type="say", room="tea", text="too much")
    error = alice.next("error")
    assert error["code"] == "too-fast"
    assert 1000 < error["seconds"] <= 1800
    alice.tell(type="say", room="tea", text="still too much")
    assert alice.ask(type="say", room="tea", text="and more", id="r")["code"] == "too-fast"
    bob = chat.v1("bob")
    assert [message["text"] for message in bob.join()["messages"]] == [f"text {number}" for number in range(5)]
