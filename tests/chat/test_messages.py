"""Entries of the log and acks as the text of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wschat.brokers.base import TOPIC, Duplicate, Message
from wschat.chat.messages import ack_as_json, message_as_json, message_fields
from wschat.events import Ack, Id, to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(0, 2**53)


@given(TEXTS | st.integers(), NUMBERS | NUMBERS.map(Duplicate))
def test_an_ack_is_written_as_any_other_event(request_id: Id, seq: int) -> None:
    assert ack_as_json(request_id, seq) == Ack(request_id, int(seq)).as_json()


@given(TEXTS, NUMBERS, TEXTS, TEXTS, st.floats(0, 1e10), st.sampled_from(["", TOPIC]))
def test_an_entry_is_written_as_any_other_event(room: str, seq: int, sender: str, text: str, time: float, kind: str) -> None:
    message = Message(room, seq, sender, text, time, kind)
    assert message_as_json(message) == to_json({"type": "message"} | message_fields(message))
