"""Messages of the log as the fields and the text of `message` events."""

from __future__ import annotations

import json
from collections.abc import Callable

from wschat.brokers.base import Message

_quoted: Callable[[str], str] = json.encoder.encode_basestring


def message_fields(message: Message) -> dict[str, object]:
    """Return the fields of a message, for events and replies."""
    return {"room": message.room, "seq": message.seq, "from": message.sender, "text": message.text, "time": round(message.time, 3)}


def message_as_json(message: Message) -> str:
    """Return the event for a new message. Written by hand, because there are so many of them."""
    room, seq, sender, text, time, _ = message
    return (
        f'{{"type":"message","room":{_quoted(room)},"seq":{seq},"from":{_quoted(sender)},"text":{_quoted(text)},"time":{round(time, 3)}}}'
    )
