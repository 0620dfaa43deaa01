"""The dialect for server-sent events: the format of events, and resuming by Last-Event-ID."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.brokers.base import TOPIC, Message
from wschat.brokers.memory import MemoryBroker
from wschat.chat.dialects.sse import Sse
from wschat.errors import Rejected
from wschat.events import Gap, MemberEvent, Notice, TypingEvent, WhisperEvent

BROKER = MemoryBroker()
BROKER.epoch = "e1"
FEED = Sse(BROKER)


def fields_of(event: str) -> dict[str, str]:
    """Parse the text of one event, whose fields are unique."""
    assert event.endswith("\n\n")
    lines = event[:-2].split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines)
    return fields


@given(st.text())
def test_a_message_with_any_text_is_one_event(text: str) -> None:
    fields = fields_of(FEED.message(Message("tea", 5, "alice", text, 1.23456)))
    assert fields.keys() == {"id", "data"}  # without a type, so that browsers call `onmessage`
    assert fields["id"] == "e1:5"
    assert "\r" not in fields["data"]
    assert json.loads(fields["data"]) == {"room": "tea", "seq": 5, "from": "alice", "text": text, "time": 1.235}


@pytest.mark.parametrize("text", ["green", "", "two\nlines"])
def test_a_topic_is_an_event_of_its_type_after_which_a_client_continues(text: str) -> None:
    fields = fields_of(FEED.message(Message("tea", 5, "alice", text, 1.23456, TOPIC)))
    assert (fields["id"], fields["event"]) == ("e1:5", "topic")
    assert json.loads(fields["data"]) == {"type": "topic", "room": "tea", "seq": 5, "from": "alice", "text": text, "time": 1.235}


@pytest.mark.parametrize("event", [MemberEvent("tea", "al\nice", "join"), Notice("two\nlines"), WhisperEvent("a", "b", "c\r\n", 1.0)])
def test_other_events_have_their_type(event: MemberEvent | Notice | WhisperEvent) -> None:
    fields = fields_of(FEED.event(event) or "")
    assert fields["event"] == event.type
    assert json.loads(fields["data"])["type"] == event.type
    assert "id" not in fields  # clients resume after messages only


def test_typing_is_not_sent() -> None:
    assert FEED.event(TypingEvent("tea", "alice")) is None


def test_the_events_for_a_position_and_a_gap() -> None:
    assert FEED.position(7) == "id: e1:7\n\n"
    gap = FEED.event(Gap("tea", 5))
    assert gap == FEED.position(4) + 'event: gap\ndata: {"type":"gap","room":"tea","first":5}\n\n'


@pytest.mark.parametrize(
    ("last_event_id", "since"),
    [("e1:5", 5), ("e1:0", 0), ("5", 5), ("0", 0), ("e2:5", None), ("e1:e1:5", None), (":5", 5), ("9" * 15, int("9" * 15))],
)
def test_last_event_id_gives_the_number_to_resume_after(last_event_id: str, since: int | None) -> None:
    assert FEED.seq_of(last_event_id) == since


@given(st.integers(0, 10**12))
def test_the_id_of_an_event_is_parsed_to_its_number(seq: int) -> None:
    fields = fields_of(FEED.message(Message("tea", seq, "a", "x", 0.0)))
    assert FEED.seq_of(fields["id"]) == seq
    assert FEED.seq_of(fields_of(FEED.position(seq))["id"]) == seq


@pytest.mark.parametrize("last_event_id", ["", "e1", "e1:", "e1:x", "-1", "1.0", " 1", "1 ", "\xb2", "e1:٣", "9" * 16, "e1:1:x"])
def test_an_invalid_last_event_id_is_rejected(last_event_id: str) -> None:
    with pytest.raises(Rejected, match="Last-Event-ID") as rejected:
        FEED.seq_of(last_event_id)
    assert rejected.value.code == "bad-field"
