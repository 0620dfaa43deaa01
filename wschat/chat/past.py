"""The past of a room: what a session receives when it joins, before it receives what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from wschat.brokers.base import Broker, Message
from wschat.chat.dialects.base import Dialect
from wschat.chat.fields import DEFAULT_MESSAGES, MAX_MESSAGES
from wschat.chat.messages import message_fields, topic_fields
from wschat.events import Gap, Id, Joined


class Resume(NamedTuple):
    """Where a session that joins a room continues."""

    since: int | None = None
    """The number of the last message that it has, None for none."""
    epoch: str | None = None
    """The epoch of that number, None for the current one."""
    id: Id | None = None
    """The id of the request."""


class Replay:
    """Writes the messages after a number for a client, and a gap where messages are missing."""

    def __init__(self, room: str, dialect: Dialect, since: int) -> None:
        self._room = room
        self._dialect = dialect
        self.last = since
        """The number of the last message that was written."""

    def write(self, messages: Sequence[Message]) -> str:
        """Return the text for these messages, without those that were written before."""
        texts = []
        for message in messages:
            if message.seq > self.last:
                texts += [self.gap_up_to(message.seq - 1), self._dialect.message(message)]
                self.last = message.seq
        return "".join(texts)

    def gap_up_to(self, last: int) -> str:
        """Return the text for a gap if messages up to this number were not written, else nothing."""
        return (self._dialect.event(Gap(self._room, last + 1)) or "") if self.last < last else ""


@dataclass
class Past:
    """What a session receives when it joins: the messages after a number, or the last ones."""

    room: str
    """The room's name."""
    epoch: str
    """The epoch of the log."""
    since: int | None
    """The number after which the messages are, None for the last ones."""
    messages: list[dict[str, object]]
    """The fields of the messages."""
    is_complete: bool
    """True if no message is left out between these and the next one to be delivered."""
    has_older: bool
    """True if there are messages before the last ones."""
    is_lost: bool
    """True if the number that was asked for has no meaning in this epoch."""

    def extend(self, delivered: list[Message]) -> None:
        """Add the messages that were delivered while these were read."""
        if self.is_complete:
            known = self.messages[-1]["seq"] if self.messages else 0
            self.messages += [message_fields(message) for message in delivered if message.seq > known]  # type: ignore[operator]  # a number

    def as_event(
        self, members: Sequence[str], moderators: Sequence[str], topic: Message | None, last: int, request_id: Id | None
    ) -> Joined:
        """Return the reply. `topic` is the last entry that set the topic, or cleared it."""
        given = self.messages[-DEFAULT_MESSAGES:] if self.since is None else self.messages[:MAX_MESSAGES]
        is_short = len(given) < len(self.messages)
        more = (self.has_older if self.since is None else not self.is_complete) or is_short
        end = last if self.is_complete and (self.since is None or not is_short) else None
        gap = self.is_lost or self._has_hole(given, end)
        return Joined(self.room, self.epoch, last, members, given, more, gap, request_id, moderators or None, topic_fields(topic))

    def _has_hole(self, given: Sequence[Mapping[str, Any]], last: int | None) -> bool:
        """Return True if a number is missing among these, after `since`, or up to `last`, which is None if there are more."""
        if not given:
            return self.since is not None and last is not None and self.since < last
        begin = given[0]["seq"] - 1 if self.since is None else self.since
        end = given[-1]["seq"] if last is None else last
        return bool(len(given) < end - begin)


def read_past(broker: Broker, room: str, resume: Resume, last: int) -> Past:
    """Return the past of a room whose last number is given. May wait for a disk. Raises HistoryUnavailable."""
    since, has_older = resume.since, False
    if since is not None and (since > last or resume.epoch not in (None, broker.epoch)):
        since = None
    if since is None:
        read = broker.read_before(room, None, DEFAULT_MESSAGES)
        has_older = bool(read) and bool(broker.read_before(room, read[0].seq, 1))
    else:
        read = broker.read_since(room, since, MAX_MESSAGES)
    is_complete = not read or read[-1].seq >= last or not broker.read_since(room, read[-1].seq, 1)
    is_lost = since is None and resume.since is not None
    return Past(room, broker.epoch, since, [message_fields(message) for message in read], is_complete, has_older, is_lost)
