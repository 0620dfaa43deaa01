"""The action `topic`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat.actions.examples import Example
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Event, Guests
from tests.concurrency import TIMEOUT
from wschat.brokers.base import Broker, Draft, Publisher
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.actions.topic import Topic
from wschat.chat.budgets import Budgets
from wschat.chat.fields import MAX_LINE
from wschat.chat.rates import Rate
from wschat.errors import HistoryUnavailable

EXAMPLE = Example({"room": "tea"}, Topic("tea"), {"text": "green"}, Topic("tea", "green"))
COMMANDS = {
    "/topic": Topic("lobby"),
    "/topic green  or black ": Topic("lobby", "green or black"),
    "/topic -": Topic("lobby", ""),
    "/topic - or +": Topic("lobby", "- or +"),
}
NO_TOPIC = {"type": "topic", "room": "tea", "text": "", "id": "q"}


def set_topic(client: Client, text: str, room: str = "tea", **fields: object) -> int:
    """Set a topic; return its number."""
    ack = client.ask(type="topic", room=room, text=text, **fields)
    assert ack["type"] == "ack", ack
    return int(ack["seq"])


def topic_of(client: Client, room: str = "tea") -> str:
    event = client.ask(type="topic", room=room)
    assert event["type"] == "topic", event
    return str(event["text"])


def test_a_topic_is_sent_to_all_members_before_its_ack(guests: Guests) -> None:
    alice, bob, other = guests.v1("alice", "tea"), guests.v1("bob", "tea"), guests.v1("carol", "coffee")
    alice.tell(type="topic", room="TEA", text="green or black?", id="t")
    kinds = [alice.next(lambda event: event["type"] in ("topic", "ack"))["type"] for _ in range(2)]
    assert kinds == ["topic", "ack"]
    event = bob.next("topic")
    assert event == {"type": "topic", "room": "tea", "seq": 1, "from": "alice", "text": "green or black?", "time": event["time"]}
    assert [event["type"] for event in other.seen()] == []


def test_a_topic_can_be_read_and_cleared(guests: Guests) -> None:
    alice, stranger = guests.v1("alice", "tea"), guests.v1()
    assert stranger.ask(type="topic", room="tea", id="q") == NO_TOPIC
    assert set_topic(alice, "green") == 1
    reply = stranger.ask(type="topic", room="tea", id="q")
    assert reply == {"type": "topic", "room": "tea", "seq": 1, "from": "alice", "text": "green", "time": reply["time"], "id": "q"}
    assert set_topic(alice, "") == 2
    assert stranger.ask(type="topic", room="tea", id="q") == NO_TOPIC
    assert "topic" not in stranger.ask(type="who", room="tea")


def test_the_command_sets_shows_and_clears_the_topic(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    assert alice.say("/topic  green  or //black? - ") == 1
    assert topic_of(alice) == "green or //black? -"
    assert alice.ask(type="say", room="tea", text="/topic", id="q")["from"] == "alice"
    assert alice.say("/TOPIC -") == 2
    assert alice.ask(type="say", room="tea", text="/topic", id="q") == NO_TOPIC
    assert [event["text"] for event in alice.seen() if event["type"] == "topic"] == ["green or //black? -", ""]


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("-", "-"),
        (" a \t b\r\n\r\nc\u2028d\x1fe ", "a b c d e"),
        (" \n ", ""),
        ("/me waits", "/me waits"),
        ("<b>&amp;😀\u200f", "<b>&amp;😀\u200f"),
        ("x" * MAX_LINE + " ", "x" * MAX_LINE),
    ],
)
def test_a_topic_is_one_line(guests: Guests, text: str, topic: str) -> None:
    alice = guests.v1("alice", "tea")
    set_topic(alice, text)
    assert topic_of(alice) == alice.next("topic")["text"] == topic


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * (MAX_LINE + 1), "must have at most 500 characters"),
        ("a\x1b[31mb", "must not contain control characters"),
        ("\0", "must not contain control characters"),
        ("\x9b", "must not contain control characters"),
        ("\ud800", "must not contain half a character (a lone surrogate)"),
        (7, "must be a string"),
    ],
)
def test_a_text_that_cannot_be_a_topic_is_refused(guests: Guests, text: object, why: str) -> None:
    alice = guests.v1("alice", "tea")
    error = alice.ask(type="topic", room="tea", text=text)
    assert (error["code"], error["text"]) == ("bad-field", f'topic: "text" {why}')
    assert topic_of(alice) == ""


def test_a_command_with_a_text_that_cannot_be_a_topic_has_its_usage_as_the_reply(guests: Guests) -> None:
    error = guests.v1("alice", "tea").ask(type="say", room="tea", text="/topic " + "x" * 501)
    assert (error["code"], error["text"]) == ("bad-command", "TEXT must have at most 500 characters. Usage: /topic [TEXT]")


def test_a_topic_that_is_sent_again_is_set_once(guests: Guests) -> None:
    alice = guests.v1("alice", "tea")
    assert [set_topic(alice, "green", id="t") for _ in range(3)] == [1, 1, 1]
    assert alice.ask(type="topic", room="tea", text="black", id="t")["code"] == "id-used"
    assert alice.ask(type="say", room="tea", text="green", id="t")["code"] == "id-used"
    assert topic_of(alice) == "green"
    assert [event["seq"] for event in alice.seen() if event["type"] == "topic"] == [1]


def test_topics_and_messages_are_in_the_order_in_which_they_were_sent(guests: Guests) -> None:
    alice, bob = guests.v1("alice", "tea"), guests.v1("bob", "tea")
    for number in range(10):
        alice.tell(type="say", room="tea", text=f"{number}")
        alice.tell(type="topic", room="tea", text=f"{number}")
    seen = [bob.next(lambda event: event["type"] in ("message", "topic")) for _ in range(20)]
    assert [(event["type"], event["text"]) for event in seen] == [(kind, str(n)) for n in range(10) for kind in ("message", "topic")]
    assert [event["seq"] for event in seen] == list(range(1, 21))


def test_only_members_who_may_speak_may_set_the_topic(open_chat: ChatFactory) -> None:
    chat = open_chat(MemoryBroker(), access=Access(moderators={"root": "secret"}))
    root, bob = chat.v1(path="/?name=root&password=secret", room="tea"), chat.v1("bob", "tea")

    def code(client: Client, **fields: str) -> str:
        return str(client.ask(type="topic", room="tea", **fields)["code"])

    assert code(chat.v1("outside"), text="green") == "not-in-room"
    assert code(chat.v1(), text="green") == "nameless"
    root.ask(type="mute", room="tea", name="bob")
    assert code(bob, text="green") == "muted"
    assert topic_of(bob) == ""
    root.ask(type="ban", room="tea", name="bob")
    assert code(bob, text="green") == code(bob) == "banned"
    assert set_topic(root, "green") == 1


def test_a_topic_survives_a_restart(open_chat: ChatFactory, tmp_path: Path) -> None:
    broker = SqliteBroker(tmp_path / "history.db")
    set_topic(open_chat(broker).v1("alice", "tea"), "green")
    broker.close()
    bob = open_chat(SqliteBroker(tmp_path / "history.db")).v1("bob")
    assert topic_of(bob) == bob.join("tea")["topic"]["text"] == bob.ask(type="who", room="tea")["topic"]["text"] == "green"


def test_without_a_history_there_are_topics_too(open_chat: ChatFactory) -> None:
    alice = open_chat().v1("alice", "tea")
    set_topic(alice, "green")
    assert topic_of(alice) == alice.join("tea")["topic"]["text"] == "green"


def test_a_topic_that_cannot_be_made_durable_is_not_set(open_chat: ChatFactory) -> None:
    class Failing(MemoryBroker):
        def append(self, draft: Draft, publisher: Publisher) -> None:
            publisher.on_appended([(draft, HistoryUnavailable("the disk is full"))])

    chat = open_chat(Failing())
    alice, plain = chat.v1("alice", "tea"), chat.plain("/rooms/tea?name=bob")
    error = alice.ask(type="topic", room="tea", text="green")
    assert (error["code"], error["text"]) == ("unavailable", "Sorry, the disk is full.")
    plain.send("/topic green")
    assert plain.recv(TIMEOUT) == "Sorry, the disk is full. Not sent: green"
    assert topic_of(alice) == ""


def test_a_topic_is_a_line_of_plain_text(guests: Guests) -> None:
    alice, nameless = guests.plain("/rooms/tea?name=alice"), guests.plain("/rooms/tea")
    for line, reply in (
        ("/topic", "tea has no topic."),
        ("/topic green, or\tblack?", "alice changed the topic to: green, or black?"),
        ("/topic", "Topic of tea, set by alice: green, or black?"),
        ("/topic -", "alice cleared the topic"),
        ("/topic", "tea has no topic."),
    ):
        alice.send(line)
        assert alice.recv(TIMEOUT) == reply
    assert nameless.recv(TIMEOUT) == "alice changed the topic to: green, or black?"
    assert nameless.recv(TIMEOUT) == "alice cleared the topic"
    nameless.send("/topic green")
    assert nameless.recv(TIMEOUT) == "Choose a name first. Type /nick NAME to take one."


def test_a_topic_costs_as_much_budget_as_a_message(open_chat: ChatFactory) -> None:
    def refused_at(request_type: str) -> int:
        alice = open_chat(MemoryBroker(), budgets=Budgets(work=Rate(100, 3600))).v1("alice", "tea")
        replies: list[Event] = []
        while not replies or replies[-1]["type"] == "ack":
            replies.append(alice.ask(type=request_type, room="tea", text="x" * MAX_LINE))
        assert replies[-1]["code"] == "too-fast"
        return len(replies)

    assert refused_at("topic") == refused_at("say")


def test_a_topic_is_refused_for_a_room_that_may_not_be_created(open_chat: ChatFactory) -> None:
    broker: Broker = MemoryBroker()
    chat = open_chat(broker, max_rooms=1)
    assert chat.v1("alice", "tea").say("hi") == 1
    assert chat.v1("bob", "coffee").ask(type="topic", room="coffee", text="beans")["code"] == "too-many-rooms"
    assert not broker.has_room("coffee")
