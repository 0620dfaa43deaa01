"""The dialect of server-sent events (WHATWG HTML, section 9.2), for clients that only follow a room.

The id of a message is `EPOCH:SEQ`, because a number has no meaning in another epoch; `Last-Event-ID` continues after it. A message
has no event type, so that `onmessage` receives it; every other event is of its own type.
"""

from __future__ import annotations

import random

from wschat.brokers.base import Message, MessageLog
from wschat.chat.dialects.base import Dialect
from wschat.chat.messages import message_fields
from wschat.errors import Rejected
from wschat.events import Event, Gap, TypingEvent, to_json

# After how many milliseconds a browser reconnects. At random, so that they do not all come back at once.
_RETRY_MS = (1000, 3000)


class Sse(Dialect):
    """Events out, and nothing in."""

    one_room = True
    needs_name = False
    is_seen = False

    def __init__(self, log: MessageLog) -> None:
        self._log = log

    def greeting(self, name: str | None, secret: str | None) -> str:
        return f"retry: {random.randint(*_RETRY_MS)}\n\n"

    def position(self, seq: int) -> str:
        """Return the text that sets a client's last event id to this message, without an event."""
        return f"id: {self._log.epoch}:{seq}\n\n"

    def seq_of(self, last_event_id: str) -> int | None:
        """Return the number of the message with this event id, None if it is of another epoch. Raises Rejected."""
        epoch, _, seq = last_event_id.rpartition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) < 16):
            raise Rejected("bad-field", f"Last-Event-ID must be the id of an event or the number of a message, not {last_event_id[:40]!r}.")
        return int(seq) if epoch in ("", self._log.epoch) else None

    def event(self, event: Event) -> str | None:
        if isinstance(event, TypingEvent):
            return None
        position = self.position(event.first - 1) if isinstance(event, Gap) else ""
        return f"{position}event: {event.type}\ndata: {event.as_json()}\n\n"

    def message(self, message: Message) -> str:
        event = f"event: {message.kind}\n" if message.kind else ""
        return f"id: {self._log.epoch}:{message.seq}\n{event}data: {to_json(message_fields(message))}\n\n"
