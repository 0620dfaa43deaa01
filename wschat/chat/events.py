"""Events: what the chat tells people, as typed records. How one is written as text is the business of a dialect.

The fields are those of `wschat.v1`; `sender` is `from` there, and what is None of `_LEFT_OUT` is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from wschat.brokers.base import Message

Id = str | int
"""What a client calls its request by."""

_NAMES = {"sender": "from"}
_LEFT_OUT = frozenset({"id", "more", "seq", "seconds", "new_name", "secret", "yours", "moderators", "moderator", "room", "event"})

_quoted: Callable[[str], str] = json.encoder.encode_basestring
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Event:
    """Something that people are told."""

    type: ClassVar[str]

    def as_json(self) -> str:
        """One JSON object."""
        return to_json({"type": self.type, **self.fields()})

    def fields(self) -> dict[str, object]:
        """Return what it says, by the names that `wschat.v1` has."""
        return {_NAMES.get(name, name): value for name, value in vars(self).items() if value is not None or name not in _LEFT_OUT}


@dataclass(frozen=True)
class Welcome(Event):
    """The first event of a connection. `name` is None for those who have to choose one, `secret` for a name that is proven."""

    type = "welcome"
    server: str
    name: str | None
    limits: Mapping[str, object]
    secret: str | None = None


@dataclass(frozen=True)
class Joined(Event):
    """The answer to `join`: the room, and what was said there.

    `messages` are those after the number that was asked for, or the last ones. `more` says that there are others: newer
    ones up to `last` where a number was given, else older ones. `gap` says that some in between are not kept, or that the number
    means nothing. `moderators` are those of the members who moderate the room, if there are any.
    """

    type = "joined"
    room: str
    epoch: str
    last: int
    members: Sequence[str]
    messages: Sequence[Mapping[str, object]]
    more: bool
    gap: bool
    id: Id | None = None
    moderators: Sequence[str] | None = None


@dataclass(frozen=True)
class MemberEvent(Event):
    """Something happened to somebody in a room: join, leave, rename (to `new_name`), kick, ban, mute, unmute or op.

    `moderator` is True for a member who joins and moderates the room.
    """

    type = "member"
    room: str
    name: str
    event: str
    new_name: str | None = None
    moderator: bool | None = None


@dataclass(frozen=True)
class TypingEvent(Event):
    """Somebody is typing just now."""

    type = "typing"
    room: str
    name: str


@dataclass(frozen=True)
class WhisperEvent(Event):
    """Something said to one person only; it is not kept."""

    type = "whisper"
    sender: str
    to: str
    text: str
    time: float


@dataclass(frozen=True)
class HistoryEvent(Event):
    """The answer to `history`, in order.

    `more` says that there are others in the direction that was asked for, `gap` that some in between are not kept.
    """

    type = "history"
    room: str
    messages: Sequence[Mapping[str, object]]
    more: bool
    gap: bool
    id: Id | None = None


@dataclass(frozen=True)
class Members(Event):
    """The answer to `who`; `unnamed` counts those in the room who have no name."""

    type = "members"
    room: str
    members: Sequence[str]
    unnamed: int
    id: Id | None = None


@dataclass(frozen=True)
class RoomList(Event):
    """The answer to `rooms`: those with somebody in them and those where something was said.

    `more` says that there are others; it is left out where there are none and nobody asked for a page.
    """

    type = "rooms"
    rooms: Sequence[Mapping[str, object]]
    more: bool | None
    id: Id | None = None


@dataclass(frozen=True)
class Ack(Event):
    """The request has been carried out; a message is durable and has this number."""

    type = "ack"
    id: Id
    seq: int | None = None


@dataclass(frozen=True)
class Error(Event):
    """The request has not been carried out. `seconds` is after how long it may go better, where that is known.

    `yours` is True for a name that is in use by the same guest on another connection.
    """

    type = "error"
    code: str
    text: str
    id: Id | None = None
    seconds: float | None = None
    yours: bool | None = None


@dataclass(frozen=True)
class Gap(Event):
    """For those who follow a room: what was to come before the message with this number is not kept."""

    type = "gap"
    room: str
    first: int


@dataclass(frozen=True)
class Notice(Event):
    """A text for people. `room` and `event` are those of the `member` event that it explains, if it explains one."""

    type = "notice"
    text: str
    id: Id | None = None
    room: str | None = None
    event: str | None = None


def message_fields(message: Message) -> dict[str, object]:
    """The fields of a message, in events and elsewhere."""
    return {"room": message.room, "seq": message.seq, "from": message.sender, "text": message.text, "time": round(message.time, 3)}


def message_as_json(message: Message) -> str:
    """The event that brings a new message: its fields, by hand, because there are so many of these."""
    room, seq, sender, text, time = message
    return (
        f'{{"type":"message","room":{_quoted(room)},"seq":{seq},"from":{_quoted(sender)},"text":{_quoted(text)},"time":{round(time, 3)}}}'
    )
