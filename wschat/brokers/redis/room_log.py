"""The messages of a room in Redis: from the entries of its stream, and pages of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from wschat.brokers.base import TOPIC, Message
from wschat.brokers.redis.following import NO_EVENT
from wschat.brokers.redis.members import MemberEvent

# Entries of one XRANGE. Most pages take one; a page is full after one message if that is a long one.
_CHUNK = 64

TOPIC_FIELDS = ("topic_seq", "topic_sender", "topic_text", "topic_time")
"""The fields of the topic in the hash of a room."""

Execute = Callable[..., Any]
"""Sends a command and its arguments to Redis, and returns the reply."""


def time_as_text(time: float) -> str:
    """Return the time of a message as its entry has it."""
    return f"{time:.6f}"


def seq_of(entry_id: bytes) -> int:
    """Return the number of the message of an entry."""
    return int(entry_id.partition(b"-")[0])


def message_of(room: str, entry: Sequence[Any]) -> Message | None:
    """Return the message of an entry; None if it cannot be read."""
    try:
        entry_id, (_, sender, _, text, _, time, _, kind) = entry
        return Message(room, seq_of(entry_id), sender.decode(), text.decode(), float(time), kind.decode())
    except (AttributeError, TypeError, ValueError):
        return None


class LinkedEvent(NamedTuple):
    """A change of a room's members, and the one before it."""

    before: bytes
    """The id of the change before."""
    event: MemberEvent
    """The change."""


def member_event_of(entry: Sequence[Any]) -> LinkedEvent | None:
    """Return a change of a room's members from an entry of its events; None if it cannot be read."""
    try:
        _, (_, before, _, node, _, sign, _, name) = entry
        return LinkedEvent(before or NO_EVENT, MemberEvent(node.decode(), sign.decode(), name.decode()))
    except (AttributeError, TypeError, ValueError):
        return None


def topic_of(room: str, values: Sequence[bytes | None]) -> Message | None:
    """Return the topic from the values of `TOPIC_FIELDS`; None if there is none."""
    seq, sender, text, time = values
    if seq is None or sender is None or text is None or time is None:
        return None
    return Message(room, int(seq), sender.decode(), text.decode(), float(time), TOPIC)


def read_messages(
    execute: Execute, key: str, room: str, first: int, last: int, oldest_time: float, *, is_backward: bool
) -> Iterator[Message | None]:
    """Yield the messages from a number to another one that are not older than a time. None stands for one that cannot be read."""
    while first <= last:
        bounds = ("XREVRANGE", key, f"{last}-0", f"{first}-0") if is_backward else ("XRANGE", key, f"{first}-0", f"{last}-0")
        entries = execute(*bounds, "COUNT", _CHUNK)
        for entry in entries:
            message = message_of(room, entry)
            if message is None or message.time >= oldest_time:
                yield message
            elif is_backward:
                return
        if len(entries) < _CHUNK:
            return
        if is_backward:
            last = seq_of(entries[-1][0]) - 1
        else:
            first = seq_of(entries[-1][0]) + 1
