"""Entries of the log as the fields and the text of events, and the acks for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache

from wschat.brokers.base import Message
from wschat.events import Id, TopicEvent

_quoted: Callable[[str], str] = json.encoder.encode_basestring


def message_fields(message: Message) -> dict[str, object]:
    """Return the fields of an entry, for events and replies. Its `type` is among them unless it is a text that was said."""
    room, seq, sender, text, time, kind = message
    fields = {"room": room, "seq": seq, "from": sender, "text": text, "time": round(time, 3)}
    return {"type": kind, **fields} if kind else fields


def topic_fields(topic: Message | None) -> dict[str, object] | None:
    """Return the fields of a room's topic, given by the last entry of this kind; None for no topic."""
    if topic is None or not topic.text:
        return None
    return {"seq": topic.seq, "from": topic.sender, "text": topic.text, "time": round(topic.time, 3)}


def topic_event(room: str, topic: Message | None, request_id: Id | None = None) -> TopicEvent:
    """Return the reply to a request for the topic of a room, which is None for no topic."""
    if topic is None:
        return TopicEvent(room, id=request_id)
    return TopicEvent(room, topic.seq, topic.sender, topic.text, round(topic.time, 3), request_id)


def ack_as_json(request_id: Id, seq: int) -> str:
    """Return the `Ack` of a message, given by its number. Written by hand, because there are so many of them."""
    quoted = _quoted(request_id) if isinstance(request_id, str) else request_id
    return f'{{"type":"ack","id":{quoted},"seq":{seq:d}}}'


def message_as_json(message: Message) -> str:
    """Return the event for a new entry. Written by hand, as an ack is."""
    room, seq, sender, text, time, kind = message
    quoted = _quoted(kind) if kind else '"message"'
    rest = f'"from":{_quoted(sender)},"text":{_quoted(text)},"time":{_time_as_json(time)}}}'
    return f'{{"type":{quoted},"room":{_quoted(room)},"seq":{seq},{rest}'


@lru_cache(maxsize=16)  # the messages of a batch have the same time
def _time_as_json(time: float) -> str:
    return str(round(time, 3))
