"""Successive connections of a client: its name, its rooms, final errors, and errors that are retried."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.client.chat.conftest import ClientFactory, Signed
from tests.client.chat.peers import Script
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory
from wschat import Attempt, ChatClient, ConnectionClosed, OpeningFailed, Rejected
from wschat.client.chat.conversation import is_same_name
from wschat.events import (
    Dropped,
    Error,
    Event,
    Gap,
    Joined,
    MemberEvent,
    MessageEvent,
    Notice,
    OtherEvent,
    Pong,
    TopicEvent,
    Welcome,
    WhisperEvent,
)

SECRET = "s" * 32


def fields(seq: int) -> dict[str, Any]:
    return {"room": "tea", "seq": seq, "from": "bob", "text": f"text {seq}", "time": 1.0}


def message(seq: int) -> MessageEvent:
    return MessageEvent("tea", seq, "bob", f"text {seq}", 1.0)


def next_of(client: ChatClient, *kinds: type[Event]) -> Event:
    """Return the next event that is of one of these types."""
    while not isinstance(event := client.recv(TIMEOUT), kinds):
        pass
    return event


def messages(client: ChatClient, count: int) -> list[Event]:
    return [next_of(client, MessageEvent, Gap, Dropped) for _ in range(count)]


# The name


def test_a_guest_requests_its_name_with_the_secret_of_its_first_welcome(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url)
    peer = script.accept()
    request = peer.sign_in(SECRET)
    assert {**request, "id": None} == {"type": "nick", "name": "alice", "secret": SECRET, "id": None}
    eventually(lambda: client.connected)
    peer.close()
    again = script.accept().sign_in("t" * 32)
    assert {**again, "id": None} == {"type": "nick", "name": "alice", "secret": SECRET, "replace": True, "id": None}
    eventually(lambda: client.connected)
    assert client.name == "alice"


def test_a_name_given_by_the_server_is_used(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url, name=None)
    script.accept().welcome("Alice")
    eventually(lambda: client.connected)
    assert client.name == "Alice"


def test_a_name_that_the_client_already_has_is_not_requested(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url, name="\uff21lice")
    peer = script.accept()
    peer.welcome("Alice")
    assert peer.is_quiet()
    assert client.name == "Alice"


def test_a_client_without_a_name_only_reads(script: Script, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(script.url, name=None)
    peer = script.accept()
    peer.welcome()
    pong = pool.submit(client.run, "ping")
    peer.reply(peer.next("ping"), "pong")
    assert isinstance(pong.result(TIMEOUT), Pong)
    assert client.name is None


def test_a_name_that_is_taken_at_the_first_connection_is_a_final_error(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url)
    peer = script.accept()
    peer.welcome(None, SECRET)
    peer.reject(peer.next("nick"), "name-taken")
    with pytest.raises(Rejected, match="name-taken"):
        list(client)
    with pytest.raises(Rejected, match="name-taken"):
        client.say("tea", "Hello!")
    assert isinstance(client.closed, Rejected)


def test_a_name_that_is_taken_after_a_reconnect_is_requested_again(signed: Signed) -> None:
    signed.peer.close()
    peer = signed.script.accept()
    peer.welcome(None, SECRET)
    peer.reject(peer.next("nick"), "name-taken")
    signed.accept()
    eventually(lambda: signed.client.connected)


def test_a_changed_name_is_requested_after_a_reconnect(signed: Signed, pool: ThreadPoolExecutor) -> None:
    done = pool.submit(signed.client.run, "nick", name="carol")
    signed.peer.reply(signed.peer.next("nick"))
    done.result(TIMEOUT)
    assert signed.client.name == "carol"
    signed.peer.send("member", room="tea", name="carol", event="rename", new_name="dora")
    next_of(signed.client, MemberEvent)
    signed.peer.close()
    assert signed.script.accept().sign_in()["name"] == "dora"


def test_a_client_that_was_replaced_ends(signed: Signed) -> None:
    signed.peer.send("error", code="replaced", text="Another connection has taken over your name.")
    signed.peer.close(4001)
    with pytest.raises(ConnectionClosed, match=r"^4001"):
        list(signed.client)
    assert isinstance(signed.client.closed, ConnectionClosed)


# The rooms


def test_rooms_are_joined_again_after_the_last_message(signed: Signed) -> None:
    for seq in (1, 2):
        signed.peer.send("message", **fields(seq))
    assert messages(signed.client, 2) == [message(1), message(2)]
    signed.peer.close()
    peer = signed.script.accept()
    peer.sign_in()
    request = peer.next("join")
    assert (request["room"], request["since"], request["epoch"]) == ("tea", 2, "e")
    peer.joined(request, 4, messages=[fields(3), fields(4)])
    assert messages(signed.client, 2) == [message(3), message(4)]


def test_only_the_first_joined_event_has_the_history(signed: Signed, pool: ThreadPoolExecutor) -> None:
    joining = pool.submit(signed.client.join, "milk")
    signed.peer.joined(signed.peer.next("join"), 7, messages=[{**fields(7), "room": "milk"}], topic={"text": "Milk"})
    joined = joining.result(TIMEOUT)
    assert [entry["seq"] for entry in joined.messages] == [7]
    assert joined.topic == {"text": "Milk"}
    assert next_of(signed.client, Joined).fields()["room"] == "tea"
    assert next_of(signed.client, Joined) == joined
    signed.peer.close()
    signed.accept()
    signed.peer.joined(signed.peer.next("join"), 7)
    assert [next_of(signed.client, Joined).fields()["messages"] for _ in range(2)] == [(), ()]


def test_a_room_can_be_joined_from_a_number(signed: Signed, pool: ThreadPoolExecutor) -> None:
    joining = pool.submit(signed.client.join, "milk", since=5, epoch="e")
    request = signed.peer.next("join")
    assert (request["since"], request["epoch"]) == (5, "e")
    signed.peer.joined(request, 6, messages=[{**fields(6), "room": "milk"}])
    joining.result(TIMEOUT)
    assert messages(signed.client, 1) == [MessageEvent("milk", 6, "bob", "text 6", 1.0)]


def test_joining_twice_delivers_each_message_once(signed: Signed, pool: ThreadPoolExecutor) -> None:
    signed.peer.send("message", **fields(1))
    joining = pool.submit(signed.client.join, "tea", since=0)
    signed.peer.joined(signed.peer.next("join"), 1, messages=[fields(1)])
    joining.result(TIMEOUT)
    signed.peer.send("message", **fields(2))
    assert messages(signed.client, 2) == [message(1), message(2)]


@pytest.mark.parametrize("how", ["left", "kick", "ban"])
def test_a_room_that_the_client_has_left_or_was_removed_from_is_not_joined_again(
    signed: Signed, pool: ThreadPoolExecutor, how: str
) -> None:
    if how == "left":
        leaving = pool.submit(signed.client.leave, "Tea")
        signed.peer.reply(signed.peer.next("leave"))
        leaving.result(TIMEOUT)
    else:
        signed.peer.send("member", room="tea", name="ALICE", event=how)
        next_of(signed.client, MemberEvent)
    signed.peer.close()
    peer = signed.script.accept()
    peer.sign_in()
    assert peer.is_quiet()
    eventually(lambda: signed.client.connected)


def test_a_refused_first_join_is_a_final_error(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url, rooms=["tea"])
    peer = script.accept()
    peer.sign_in()
    peer.reject(peer.next("join"), "banned")
    with pytest.raises(Rejected, match="banned"):
        list(client)


def test_a_join_refused_after_a_reconnect_is_an_event(signed: Signed) -> None:
    signed.peer.close()
    peer = signed.script.accept()
    peer.sign_in()
    peer.reject(peer.next("join"), "banned")
    error = next_of(signed.client, Error)
    assert isinstance(error, Error)
    assert error.code == "banned"
    peer.close()
    peer = signed.script.accept()
    peer.sign_in()
    assert peer.is_quiet()


def test_a_join_that_is_unavailable_is_retried(script: Script, start_client: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wschat.client.chat.requests._SECONDS_IF_UNAVAILABLE", 0.01)
    client = start_client(script.url, rooms=["tea"])
    peer = script.accept()
    peer.sign_in()
    peer.reject(peer.next("join"), "unavailable")
    peer.reject(peer.next("join"), "too-fast", seconds=0.01)
    peer.joined(peer.next("join"))
    eventually(lambda: client.connected)


def test_missed_messages_are_fetched_in_pages(signed: Signed) -> None:
    signed.peer.close()
    peer = signed.accept(last=4, messages=[fields(1), fields(2)], more=True)
    request = peer.next("history")
    assert (request["room"], request["since"]) == ("tea", 2)
    peer.send("message", **fields(5))
    peer.reply(request, "history", room="tea", messages=[fields(3), fields(4)], more=False, gap=False)
    assert messages(signed.client, 5) == [message(seq) for seq in range(1, 6)]


def test_a_page_that_is_unavailable_is_requested_again(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wschat.client.chat.requests._SECONDS_IF_UNAVAILABLE", 0.01)
    signed.peer.send("message", **fields(2))  # the first one is missing
    signed.peer.reject(signed.peer.next("history"), "unavailable")
    request = signed.peer.next("history")
    signed.peer.reply(request, "history", room="tea", messages=[fields(1), fields(2)], more=False, gap=False)
    assert messages(signed.client, 2) == [message(1), message(2)]


def test_a_page_that_is_refused_is_a_gap(signed: Signed) -> None:
    signed.peer.send("message", **fields(2))
    signed.peer.reject(signed.peer.next("history"), "forbidden")
    signed.peer.send("message", **fields(3))
    assert messages(signed.client, 2) == [Gap("tea", 3), message(3)]


def test_deleted_messages_are_a_gap(signed: Signed) -> None:
    signed.peer.close()
    signed.accept(last=9, messages=[fields(8), fields(9)], gap=True)
    assert messages(signed.client, 3) == [Gap("tea", 8), message(8), message(9)]


def test_a_lost_log_is_a_gap_and_the_new_one_is_delivered_from_its_beginning(signed: Signed) -> None:
    signed.peer.send("message", **fields(1))
    signed.peer.close()
    peer = signed.accept(last=2, messages=[fields(2)], epoch="f", more=True, gap=True)
    request = peer.next("history")
    assert request["since"] == 0
    peer.reply(request, "history", room="tea", messages=[fields(1), fields(2)], more=False, gap=False)
    assert messages(signed.client, 4) == [message(1), Gap("tea", 1), message(1), message(2)]


# Events


def test_events_are_records(signed: Signed) -> None:
    signed.peer.send("topic", **{**fields(1), "text": "Green tea"})
    signed.peer.send("member", room="tea", name="bob", event="join")
    signed.peer.send("whisper", **{"from": "bob", "to": "alice", "text": "psst", "time": 1.0})
    signed.peer.send("notice", text="Mind the gap.")
    signed.peer.send("poll", room="tea", text="Who?")
    signed.peer.send("poll", room="tea", seq=2)
    received = [signed.client.recv(TIMEOUT) for _ in range(8)]
    assert isinstance(received[0], Welcome)
    assert isinstance(received[1], Joined)
    assert received[2:] == [
        TopicEvent("tea", 1, "bob", "Green tea", 1.0),
        MemberEvent("tea", "bob", "join"),
        WhisperEvent("bob", "alice", "psst", 1.0),
        Notice("Mind the gap."),
        OtherEvent({"type": "poll", "room": "tea", "text": "Who?"}),
        OtherEvent({"type": "poll", "room": "tea", "seq": 2}),
    ]


def test_messages_of_rooms_that_the_client_has_left_are_dropped(signed: Signed) -> None:
    signed.peer.send("message", **{**fields(1), "room": "milk"})
    signed.peer.send("message", **fields(1))
    assert messages(signed.client, 1) == [message(1)]


# Invalid servers


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"type":"message"}', "[" * 100_000])
def test_after_an_invalid_event_the_client_reconnects(signed: Signed, text: str) -> None:
    signed.peer.ws.send(text)
    signed.accept()
    eventually(lambda: signed.client.connected)


@pytest.mark.parametrize("wrong", [{"messages": [7]}, {"messages": [{}]}, {"last": "one"}])
def test_after_an_invalid_reply_the_client_reconnects(script: Script, start_client: ClientFactory, wrong: dict[str, object]) -> None:
    client = start_client(script.url, rooms=["tea"])
    for fields_of_reply in (wrong, {}):
        peer = script.accept()
        peer.sign_in()
        peer.joined(peer.next("join"), **fields_of_reply)  # type: ignore[arg-type]
    eventually(lambda: client.connected)


def test_after_another_first_event_than_a_welcome_the_client_reconnects(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url)
    script.accept().send("pong")
    script.accept().sign_in()
    eventually(lambda: client.connected)


def test_without_a_welcome_in_time_the_client_reconnects(
    script: Script, start_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wschat.client.chat.conversation._REPLY_TIMEOUT", 0.1)

    def restore_timeout(attempt: Attempt) -> None:
        if attempt.error is not None:
            monkeypatch.setattr("wschat.client.chat.conversation._REPLY_TIMEOUT", TIMEOUT)

    client = start_client(script.url, on_attempt=restore_timeout)
    script.accept()
    script.accept().sign_in()
    eventually(lambda: client.connected)


def test_a_server_that_is_no_chat_is_a_final_error(serve: ServerFactory, start_client: ClientFactory) -> None:
    script = Script(serve, [])
    with pytest.raises(OpeningFailed, match=r"does not speak wschat\.v1"):
        list(start_client(script.url))
    script.end()


def test_late_and_unknown_replies_are_no_events(signed: Signed) -> None:
    signed.peer.send("ack", id="unknown", seq=7)
    signed.peer.send("error", id=7, code="muted", text="late")
    signed.peer.send("message", **fields(1))
    assert next_of(signed.client, MessageEvent, Error) == message(1)


PERSIAN = "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"
"""A word with a joiner."""


@pytest.mark.parametrize(
    ("one", "other"),
    [("Alice", "alice"), ("\uff21lice", "alice"), ("stra\u00dfe", "STRASSE"), (PERSIAN, PERSIAN.replace("\u200c", ""))],
)
def test_names_are_compared_as_the_server_does(one: str, other: str) -> None:
    """By letters: without case, width, and the joiners of Persian and Indian scripts."""
    assert is_same_name(one, other)
    assert not is_same_name(one, "bob")
