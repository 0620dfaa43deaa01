"""Events: what the chat tells its clients, as typed records. The server makes them, and the parser of a client reads them.

The fields are those of `wschat.v1`, where `sender` is called `from`. A field in `_OPTIONAL` is left out if it is None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

Id = str | int
"""The id that a client gives a request."""

JSON_NAMES = {"sender": "from"}
"""The names of fields that are called otherwise in JSON."""

_OPTIONAL = frozenset(
    {"id", "more", "seq", "seconds", "new_name", "secret", "yours", "moderators", "moderator", "room", "event", "topic", "sender", "time"}
)

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Event:
    """One thing that a client is told."""

    type: ClassVar[str]
    """The `type` of its JSON object."""

    def as_json(self) -> str:
        """Return the event as a JSON object."""
        return to_json({"type": self.type, **self.fields()})

    def fields(self) -> dict[str, object]:
        """Return the fields by their names in `wschat.v1`, without the type."""
        return {JSON_NAMES.get(name, name): value for name, value in vars(self).items() if value is not None or name not in _OPTIONAL}


@dataclass(frozen=True)
class Welcome(Event):
    """The first event of a connection."""

    type = "welcome"
    server: str
    """The server's name and version."""
    name: str | None
    """The client's name, None if it has yet to choose one."""
    limits: Mapping[str, object]
    """How many `requests` may be sent in how many `seconds`; empty for no limit."""
    secret: str | None = None
    """The guest's secret, None for a name that is proven."""


@dataclass(frozen=True)
class Joined(Event):
    """The reply to `join`: the room and its messages."""

    type = "joined"
    room: str
    """The room's name."""
    epoch: str
    """The epoch of the log."""
    last: int
    """The number of the room's last message."""
    members: Sequence[str]
    """The members, in order of arrival."""
    messages: Sequence[Mapping[str, object]]
    """The messages after the number that was given, or the last ones."""
    more: bool
    """True if there are more messages: newer ones up to `last` if a number was given, else older ones."""
    gap: bool
    """True if messages in between are not kept, or if the number has no meaning in this epoch."""
    id: Id | None = None
    """The id of the request."""
    moderators: Sequence[str] | None = None
    """The members who moderate the room, None if there are none."""
    topic: Mapping[str, object] | None = None
    """The topic: its `text`, and by whom (`from`), when (`time`) and with which number (`seq`) it was set. None if there is none."""


@dataclass(frozen=True)
class MessageEvent(Event):
    """A message in a room."""

    type = "message"
    room: str
    """The room's name."""
    seq: int
    """The number of the message in its room."""
    sender: str
    """The name of its author."""
    text: str
    """The text."""
    time: float
    """When it was said, in seconds since 1970."""


@dataclass(frozen=True)
class TopicEvent(Event):
    """A change of the topic of a room, or the reply to a request for it. If there is none, a reply has only an empty text."""

    type = "topic"
    room: str
    """The room's name."""
    seq: int | None = None
    """The number of the change among the messages of the room."""
    sender: str | None = None
    """The name of the user who set it."""
    text: str = ""
    """The topic, empty for none."""
    time: float | None = None
    """When it was set, in seconds since 1970."""
    id: Id | None = None
    """The id of the request."""


@dataclass(frozen=True)
class MemberEvent(Event):
    """A change of one member of a room."""

    type = "member"
    room: str
    """The room's name."""
    name: str
    """The member's name."""
    event: str
    """One of join, leave, rename, kick, ban, unban, mute, unmute, op."""
    new_name: str | None = None
    """The new name, for a rename."""
    moderator: bool | None = None
    """True if a member who joins moderates the room."""


@dataclass(frozen=True)
class TypingEvent(Event):
    """A member of a room is typing."""

    type = "typing"
    room: str
    """The room's name."""
    name: str
    """The member's name."""


@dataclass(frozen=True)
class WhisperEvent(Event):
    """A text for one user only. It is not kept."""

    type = "whisper"
    sender: str
    """The name of its author."""
    to: str
    """The name of the user it is for."""
    text: str
    """The text."""
    time: float
    """When it was sent, in seconds since 1970."""


@dataclass(frozen=True)
class HistoryEvent(Event):
    """The reply to `history`."""

    type = "history"
    room: str
    """The room's name."""
    messages: Sequence[Mapping[str, object]]
    """The messages, in order."""
    more: bool
    """True if there are more in the direction that was asked for."""
    gap: bool
    """True if messages in between are not kept."""
    id: Id | None = None
    """The id of the request."""


@dataclass(frozen=True)
class Members(Event):
    """The reply to `who`."""

    type = "members"
    room: str
    """The room's name."""
    members: Sequence[str]
    """The members, in order of arrival."""
    unnamed: int
    """The number of members without a name."""
    id: Id | None = None
    """The id of the request."""
    topic: Mapping[str, object] | None = None
    """The topic, as in `Joined`."""


@dataclass(frozen=True)
class RoomList(Event):
    """The reply to `rooms`: the rooms that have members or messages."""

    type = "rooms"
    rooms: Sequence[Mapping[str, object]]
    """The name (`room`), the number of `members`, and the `last` number of each."""
    more: bool | None = None
    """True if there are more. None if there are not, and no page was asked for."""
    id: Id | None = None
    """The id of the request."""


@dataclass(frozen=True)
class CommandList(Event):
    """The reply to `commands`."""

    type = "commands"
    commands: Sequence[Mapping[str, object]]
    """The `name`, `usage` and `help` of each, and `moderator` (true) for those of moderators."""
    id: Id | None = None
    """The id of the request."""


@dataclass(frozen=True)
class Pong(Event):
    """The reply to `ping`."""

    type = "pong"
    id: Id | None = None
    """The id of the request."""


@dataclass(frozen=True)
class Ack(Event):
    """The reply to a request that was carried out and has no other reply."""

    type = "ack"
    id: Id
    """The id of the request."""
    seq: int | None = None
    """The number of the message that was said, which is durable."""


@dataclass(frozen=True)
class Error(Event):
    """The reply to a request that failed."""

    type = "error"
    code: str
    """What failed, for programs."""
    text: str
    """What failed, for people."""
    id: Id | None = None
    """The id of the request."""
    seconds: float | None = None
    """After how many seconds it may be tried again, if that is known."""
    yours: bool | None = None
    """True for a name that the same guest uses on another connection."""


@dataclass(frozen=True)
class Gap(Event):
    """For clients that follow a room: messages are not kept, or cannot be read."""

    type = "gap"
    room: str
    """The room's name."""
    first: int
    """The number of the first message after the gap."""


@dataclass(frozen=True)
class Notice(Event):
    """A text for the client's user. `room` and `event` are those of the `member` event that it explains, if it explains one."""

    type = "notice"
    text: str
    """The text."""
    id: Id | None = None
    """The id of the request."""
    room: str | None = None
    """The room of the event that the text explains."""
    event: str | None = None
    """What happened there, as in a `member` event."""


@dataclass(frozen=True)
class OtherEvent(Event):
    """What a client makes of an event of a type that it does not know."""

    type = "other"
    data: Mapping[str, object]
    """The JSON object, its `type` included."""

    def fields(self) -> dict[str, object]:
        """Return the JSON object."""
        return dict(self.data)


@dataclass(frozen=True)
class Dropped(Event):
    """What a client tells a caller that took events too slowly: some were dropped. No message of a room is among them."""

    type = "dropped"
    count: int
    """The number of events."""


OF_CLIENTS = (OtherEvent, Dropped)
"""The events that no server sends."""
