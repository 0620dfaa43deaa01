"""Rooms while a session joins: messages, joins, kicks, bans and errors that happen while it reads the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations

import pytest

from tests.brokers.wiring import IgnoringPublisher
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Client, Event, Guests
from tests.concurrency import eventually
from wschat.brokers.base import TOPIC, Broker, Draft, Message
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.errors import HistoryUnavailable

ROOM = "tea"


class Interrupted(MemoryBroker):
    """A broker that calls `meanwhile` between reading and returning messages."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None
        self.after_topic: Callable[[], object] = lambda: None

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._interrupted(super().read_since(room, seq, limit))

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._interrupted(super().read_before(room, seq, limit))

    def _interrupted(self, messages: list[Message]) -> list[Message]:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return messages

    def topic(self, room: str) -> Message | None:
        topic = super().topic(room)
        after_topic, self.after_topic = self.after_topic, lambda: None
        after_topic()
        return topic

    def say(self, count: int) -> None:
        for _ in range(count):
            self.append(Draft(ROOM, "bob", "x"), IgnoringPublisher())

    def set_topic(self, *texts: str) -> None:
        for text in texts:
            self.append(Draft(ROOM, "bob", text, kind=TOPIC), IgnoringPublisher())


@pytest.fixture
def slow() -> Interrupted:
    return Interrupted()


@pytest.fixture
def chat(open_chat: ChatFactory, slow: Interrupted) -> Guests:
    return open_chat(slow, access=Access(moderators={"root": "secret"}))


def check_whole(client: Client, joined: dict[str, object], since: int) -> None:
    """Check that the messages of the reply and those received later have no gap and no duplicates."""
    messages = joined["messages"]
    assert isinstance(messages, list)
    seqs = [message["seq"] for message in messages]
    last = client.say("now")
    while not seqs or seqs[-1] < last:
        seqs.append(client.next("message")["seq"])
    assert seqs == list(range(since + 1, last + 1))


@pytest.mark.parametrize("before", [0, 3, 150])
@pytest.mark.parametrize("meanwhile", [1, 5, 1500])
def test_messages_sent_while_the_history_is_read_are_not_missed(chat: Guests, slow: Interrupted, before: int, meanwhile: int) -> None:
    bob = chat.v1("bob")
    slow.say(before)
    slow.meanwhile = lambda: slow.say(meanwhile)
    joined = bob.join(ROOM, since=0)
    if before + meanwhile > 1000:
        assert joined["more"]
        assert [message["seq"] for message in joined["messages"]] == list(range(1, 1001))
        assert joined["last"] == before + meanwhile
        assert bob.say("now") == bob.next("message")["seq"] == before + meanwhile + 1
    else:
        assert (joined["last"], joined["more"]) == (before + meanwhile, False)
        check_whole(bob, joined, since=0)


def test_the_last_hundred_messages_are_the_last_when_the_reply_is_sent(chat: Guests, slow: Interrupted) -> None:
    bob = chat.v1("bob")
    slow.say(200)
    slow.meanwhile = lambda: slow.say(30)
    joined = bob.join(ROOM)
    assert [message["seq"] for message in joined["messages"]] == list(range(131, 231))
    check_whole(bob, joined, since=130)


def test_sessions_that_join_at_once_miss_nothing(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice"), chat.v1("bob")
    slow.say(2)

    def another_joins() -> None:
        slow.say(2)
        slow.meanwhile = lambda: slow.say(2)
        check_whole(bob, bob.join(ROOM, since=1), since=1)
        slow.say(2)

    slow.meanwhile = another_joins
    check_whole(alice, alice.join(ROOM, since=0), since=0)


def test_a_session_kicked_while_it_joins_is_not_in_the_room(chat: Guests, slow: Interrupted) -> None:
    root = chat.v1(path="/?name=root&password=secret", room=ROOM)
    bob = chat.v1("bob")
    slow.meanwhile = lambda: root.ask(type="kick", room=ROOM, name="bob")
    bob.join(ROOM)
    assert root.ask(type="who", room=ROOM)["members"] == ["root"]
    root.say("bob does not hear this")
    assert [event for event in bob.seen() if event["type"] == "message"] == []
    assert bob.ask(type="say", room=ROOM, text="hello?")["code"] == "not-in-room"


def test_a_member_is_announced_once_new_messages_reach_it(chat: Guests, slow: Interrupted) -> None:
    """A bot answers what is new only, and a member may be spoken to as soon as the others see its name."""
    alice, bob = chat.v1("alice", ROOM), chat.v1("bob")
    seen_meanwhile: list[Event] = []
    slow.meanwhile = lambda: seen_meanwhile.extend(alice.seen())
    joined = bob.join(ROOM)
    assert seen_meanwhile == []
    assert alice.next("member").items() >= {"event": "join", "name": "bob"}.items()
    alice.say("!roll")
    assert joined["messages"] == []
    assert [event["type"] for event in bob.seen()] == ["message"]


def member_events(client: Client) -> list[object]:
    return [event["event"] for event in client.seen() if event["type"] == "member"]


def test_a_session_kicked_while_it_joins_is_announced_before(chat: Guests, slow: Interrupted) -> None:
    """Another one that has joined meanwhile has it among the members."""
    root = chat.v1(path="/?name=root&password=secret", room=ROOM)
    alice, bob = chat.v1("alice", ROOM), chat.v1("bob")
    slow.meanwhile = lambda: root.ask(type="kick", room=ROOM, name="bob")
    bob.join(ROOM)
    assert member_events(alice) == ["join", "kick"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_member_is_announced_by_its_first_session_that_is_admitted(chat: Guests, slow: Interrupted, fails: bool) -> None:
    first, second = (chat.v1(path="/?name=root&password=secret") for _ in range(2))
    alice = chat.v1("alice", ROOM)

    def meanwhile() -> None:
        second.join(ROOM)
        second.say("Hello!")
        if fails:
            fail()

    slow.meanwhile = meanwhile
    first.ask(type="join", room=ROOM)
    assert [event["type"] for event in alice.seen()] == ["member", "message"]
    second.ws.close()
    first.ws.close()
    assert alice.next("member")["event"] == "leave"


def fail() -> None:
    raise HistoryUnavailable("the disk has gone")


def test_a_join_whose_history_cannot_be_read_fails_and_changes_nothing(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice", ROOM), chat.v1("bob")
    slow.meanwhile = fail
    error = bob.ask(type="join", room=ROOM)
    assert (error["code"], error["text"]) == ("unavailable", "Sorry, the disk has gone.")
    assert alice.ask(type="who", room=ROOM)["members"] == ["alice"]
    assert member_events(alice) == ["join", "leave"]
    alice.say("bob does not hear this")
    assert bob.seen() == []
    bob.join(ROOM)
    slow.meanwhile = fail
    assert bob.ask(type="join", room=ROOM)["code"] == "unavailable"
    assert bob.say("still a member") == 2


def test_a_session_banned_while_it_joins_is_not_in_the_room(chat: Guests, slow: Interrupted) -> None:
    root = chat.v1(path="/?name=root&password=secret", room="lobby")
    bob = chat.v1("bob")

    def ban() -> None:
        root.ask(type="ban", room=ROOM, name="bob")
        root.join(ROOM)

    slow.meanwhile = ban
    bob.tell(type="join", room=ROOM, id="join")
    assert bob.next("error")["code"] == "banned"
    assert root.ask(type="who", room=ROOM)["members"] == ["root"]


def test_a_session_that_joins_while_another_reads_the_history_is_among_the_members(chat: Guests, slow: Interrupted) -> None:
    alice, bob = chat.v1("alice"), chat.v1("bob")
    slow.meanwhile = lambda: bob.join(ROOM)
    assert alice.join(ROOM)["members"] == ["alice", "bob"]


def test_a_large_history_is_returned_in_several_replies(chat: Guests, slow: Interrupted) -> None:
    alice = chat.v1("alice", ROOM)
    for number in range(60):
        alice.tell(type="say", room=ROOM, text=f"{number} " + "x" * 30_000)
    alice.say("the last")
    bob = chat.v1("bob")
    slow.meanwhile = lambda: slow.say(3)
    assert [message["seq"] for message in bob.catch_up(ROOM, since=0)] == list(range(1, 65))
    history = bob.ask(type="history", room=ROOM)
    assert history["more"]
    carol = chat.v1("carol")
    joined = carol.join(ROOM)
    assert joined["more"]
    assert joined["messages"][-1]["seq"] == 64
    assert len(json.dumps(joined)) < 300_000


class FailingBroker(MemoryBroker):
    """A broker in which one room fails once `is_failing` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_failing = False

    def add_member(self, room: str, member: str) -> bool:
        self._check(room)
        return super().add_member(room, member)

    def remove_member(self, room: str, member: str) -> bool:
        self._check(room)
        return super().remove_member(room, member)

    def _check(self, room: str) -> None:
        if self.is_failing and room == "broken":
            raise RuntimeError("this room fails")


@pytest.mark.parametrize("rooms", list(permutations(["broken", "coffee", ROOM])))
def test_a_failing_room_does_not_keep_a_session_in_other_rooms(open_chat: ChatFactory, rooms: tuple[str, ...]) -> None:
    broker = FailingBroker()
    guests = open_chat(broker)
    watcher = guests.v1("watcher")
    alice = guests.v1("alice")
    for room in rooms:
        alice.join(room)
    watcher.join("coffee")
    watcher.join(ROOM)
    broker.is_failing = True
    alice.ws.close()
    left = [watcher.next(lambda event: event.get("event") == "leave")["room"] for _ in range(2)]
    assert sorted(left) == ["coffee", ROOM]
    eventually(lambda: watcher.ask(type="nick", name="alice")["type"] == "ack")  # the name is free
    listed = {room["room"]: room["members"] for room in watcher.ask(type="rooms")["rooms"]}
    assert listed == {"coffee": 1, ROOM: 1}


def test_a_failed_join_leaves_no_member_behind(open_chat: ChatFactory) -> None:
    broker = FailingBroker()
    guests = open_chat(broker)
    watcher = guests.v1("watcher")
    alice = guests.v1("alice", ROOM)
    watcher.join(ROOM)
    broker.is_failing = True
    alice.tell(type="join", room="broken")
    assert watcher.next(lambda event: event.get("event") == "leave")["name"] == "alice"  # the error ended the connection
    eventually(lambda: watcher.ask(type="nick", name="alice")["type"] == "ack")
    broker.is_failing = False
    assert watcher.join("broken")["members"] == ["alice"]


def test_a_failing_room_does_not_keep_a_new_name_from_other_rooms(open_chat: ChatFactory) -> None:
    broker = FailingBroker()
    guests = open_chat(broker)
    watcher = guests.v1("watcher", ROOM)
    alice = guests.v1("alice")
    for room in (ROOM, "broken", "coffee"):
        alice.join(room)
    broker.is_failing = True
    alice.tell(type="nick", name="bob")
    assert watcher.next(lambda event: event.get("event") == "rename")["new_name"] == "bob"
    assert watcher.next(lambda event: event.get("event") == "leave")["name"] == "bob"


# The topic


def topic_text(event: Event) -> str:
    return str(event.get("topic", {"text": ""})["text"])


def test_a_member_who_joins_receives_the_topic(chat: Guests, slow: Interrupted) -> None:
    assert "topic" not in chat.v1("alice").join(ROOM)
    slow.set_topic("old", "green")
    assert chat.v1("bob").join(ROOM)["topic"].items() >= {"seq": 2, "from": "bob", "text": "green"}.items()
    assert chat.v1("carol").join("coffee").keys().isdisjoint({"topic"})
    slow.set_topic("")
    assert "topic" not in chat.v1("dave").join(ROOM)


@pytest.mark.parametrize("texts", [["green"], ["green", ""], ["", "green"]], ids=str)
@pytest.mark.parametrize("before", ["", "old"])
@pytest.mark.parametrize("number", [0, 150])
def test_a_topic_set_while_the_history_is_read_is_returned(
    chat: Guests, slow: Interrupted, texts: list[str], before: str, number: int
) -> None:
    alice = chat.v1("alice", ROOM)
    slow.set_topic(*[before] if before else [])
    slow.say(number)
    bob = chat.v1("bob")
    slow.meanwhile = lambda: slow.set_topic(*texts)
    joined = bob.join(ROOM)
    assert topic_text(joined) == texts[-1]
    assert [event["text"] for event in joined["messages"] if event.get("type") == "topic"][-1] == texts[-1]
    assert [event["text"] for event in alice.seen() if event["type"] == "topic"] == [*[before] * bool(before), *texts]


@pytest.mark.parametrize("texts", [["green"], ["green", ""], [""]], ids=str)
def test_a_topic_set_while_the_room_is_created_is_returned(chat: Guests, slow: Interrupted, texts: list[str]) -> None:
    slow.set_topic("old")
    bob = chat.v1("bob")
    slow.after_topic = lambda: slow.set_topic(*texts)  # after the subscription
    assert topic_text(bob.join(ROOM)) == texts[-1]
    assert topic_text(bob.ask(type="who", room=ROOM)) == texts[-1]


def test_who_returns_the_topic_of_a_room_without_members(chat: Guests, slow: Interrupted) -> None:
    bob = chat.v1("bob")
    assert "topic" not in bob.ask(type="who", room=ROOM)
    slow.set_topic("green")
    assert topic_text(bob.ask(type="who", room=ROOM)) == "green"


def test_a_topic_is_an_entry_of_the_log_like_a_message(guests: Guests, broker: Broker) -> None:
    alice = guests.v1("alice", ROOM)
    alice.say("first")
    broker.append(Draft(ROOM, "bob", "green", kind=TOPIC), IgnoringPublisher())
    event = alice.next("topic")
    assert event == {"type": "topic", "room": ROOM, "seq": 2, "from": "bob", "text": "green", "time": event["time"]}
    assert alice.say("third") == 3
    for entries in (alice.ask(type="history", room=ROOM)["messages"], guests.v1("carol").join(ROOM, since=0)["messages"]):
        assert [entry.get("type") for entry in entries] == [None, "topic", None]
        assert entries[1] == event
