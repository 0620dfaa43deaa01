"""The dialect of those who only listen, with server-sent events (WHATWG HTML, section 9.2).

A message has an id by which `Last-Event-ID` goes on after it: `EPOCH:SEQ`, since a number of another epoch means nothing. It is
of no named type, so that `onmessage` gets it; everything else that happens is an event of its own type.
"""

from __future__ import annotations

import random

from wschat.brokers.base import Message
from wschat.chat.events import Event, Gap, TypingEvent, message_fields, to_json
from wschat.chat.requests import Request
from wschat.chat.sessions import Dialect, Session
from wschat.errors import Rejected

# After how many milliseconds a browser that has lost the stream comes back: not all of them at once.
_RETRY_MS = (1000, 3000)


class Sse(Dialect):
    """Events out, and nothing in. `epoch` is the log's."""

    one_room = True
    needs_name = False
    is_seen = False

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def greeting(self, session: Session) -> str:
        return f"retry: {random.randint(*_RETRY_MS)}\n\n"

    def place(self, seq: int) -> str:
        """Tell a client that it has come as far as this number, before anything has been said after it."""
        return f"id: {self._epoch}:{seq}\n\n"

    def since(self, last_event_id: str) -> int | None:
        """The number after which somebody goes on who has had this event, None if it is of another epoch. Raises Rejected."""
        epoch, _, seq = last_event_id.rpartition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) < 16):
            raise Rejected(
                "bad-field", f"Last-Event-ID is the id of an event here, or the number of a message, not {last_event_id[:40]!r}."
            )
        return int(seq) if epoch in ("", self._epoch) else None

    def parse(self, session: Session, text: str) -> Request:
        raise AssertionError("nothing can be said on such a stream")

    def event(self, event: Event) -> str | None:
        if isinstance(event, TypingEvent):
            return None
        place = self.place(event.first - 1) if isinstance(event, Gap) else ""
        return f"{place}event: {event.type}\ndata: {event.as_json()}\n\n"

    def message(self, message: Message) -> str:
        return f"id: {self._epoch}:{message.seq}\ndata: {to_json(message_fields(message))}\n\n"
