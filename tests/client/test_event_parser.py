"""Parsing events: all events of the server, unknown types and fields, and invalid input."""

from __future__ import annotations

import json

import pytest

from wschat.client.event_parser import event_from, parse_event
from wschat.events import Ack, Error, Event, Joined, MemberEvent, MessageEvent, Notice, OtherEvent, RoomList, Welcome, WhisperEvent

EVENTS = [
    Welcome("wschat/1", None, {}),
    Welcome("wschat/1", "alice", {"requests": 5, "seconds": 1}, "secret"),
    Joined("tea", "e", 1, ["alice"], [{"room": "tea", "seq": 1}], more=False, gap=True, id=7, moderators=["alice"]),
    MessageEvent("tea", 1, "alice", "Hello!", 12.5),
    MemberEvent("tea", "alice", "rename", "bob"),
    WhisperEvent("alice", "bob", "psst", 12),
    RoomList([], None),
    Ack("1", 3),
    Error("too-fast", "Slower!", seconds=1.5),
    Notice("Hello!"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_survives_a_round_trip_through_json(event: Event) -> None:
    assert parse_event(event.as_json()) == event


def test_unknown_fields_are_dropped() -> None:
    assert parse_event('{"type":"pong","id":1,"new":[]}').fields() == {"id": 1}


def test_an_unknown_type_becomes_a_generic_record() -> None:
    event = parse_event('{"type":"poll","id":1}')
    assert event == OtherEvent({"type": "poll", "id": 1})
    assert json.loads(event.as_json()) == {"type": "poll", "id": 1}
    assert isinstance(parse_event('{"type":"other"}'), OtherEvent)


def test_an_entry_of_a_list_needs_no_type() -> None:
    fields = {"room": "tea", "seq": 1, "from": "alice", "text": "Hello!", "time": 12.5}
    assert event_from(fields, "message") == MessageEvent("tea", 1, "alice", "Hello!", 12.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type":1}',
        '{"type":"ack"}',
        '{"type":"member","room":1,"name":"alice","event":"join"}',
        '{"type":"message","room":"tea","seq":"1","from":"alice","text":"Hello!","time":12.5}',
        '{"type":"rooms","rooms":[{},[]],"more":false}',
        '{"type":"joined","room":"tea","epoch":"e","last":1,"members":["alice",null],"messages":[],"more":false,"gap":false}',
    ],
)
def test_an_invalid_event_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting value|must be a JSON object|is missing or has a wrong type"):
        parse_event(text)
