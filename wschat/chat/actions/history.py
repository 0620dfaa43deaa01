"""Read messages of a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import DEFAULT_MESSAGES, Limit, Number, RoomName
from wschat.chat.messages import message_fields
from wschat.chat.moderation import BAN
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.chat.text import as_line
from wschat.errors import Rejected
from wschat.events import HistoryEvent

_DEFAULT_LINES = 20


@dataclass(frozen=True)
class History(Action[HistoryEvent]):
    """Read messages of a room: those before a number, those after one, or the last ones."""

    type = "history"
    commands = (Command("/history [LINES]", "show the last messages", ("limit",), {"limit": _DEFAULT_LINES}),)
    needs_name = False
    needs_moderator = False

    room: RoomName
    before: Number | None = None
    since: Number | None = None
    limit: Limit = DEFAULT_MESSAGES

    def run(self, state: State, session: Session) -> HistoryEvent:
        """Read them. Raises Rejected for a session that is banned from the room, and HistoryUnavailable."""
        state.moderation.check(BAN, session, self.room)
        if self.since is not None and self.before is not None:
            raise Rejected("bad-request", 'history: only one of "since" and "before" may be given.')
        broker, room = state.broker, self.room
        last = broker.last_seq(room)
        if self.since is not None:
            messages = broker.read_since(room, self.since, self.limit)
            more = bool(messages and broker.read_since(room, messages[-1].seq, 1))
        else:
            messages = broker.read_before(room, self.before, self.limit)
            more = bool(messages and broker.read_before(room, messages[0].seq, 1))
        begin, end = (messages[0].seq - 1, messages[-1].seq) if messages else (0, 0)
        if self.since is not None:
            begin, end = self.since, end if more else max(end, last)
        gap = len(messages) < end - begin
        return HistoryEvent(room, [message_fields(message) for message in messages], more, gap, self.id)

    def plain_reply(self, reply: HistoryEvent) -> str:
        """Write a line for each message."""
        lines = [as_line(message["from"], str(message["text"]), str(message.get("type", ""))) for message in reply.messages]
        return "\n".join(lines) or f"No messages are kept in {reply.room}."

    def cost(self, state: State, session: Session, reply: HistoryEvent) -> float:
        """Count the messages."""
        return len(reply.messages)
