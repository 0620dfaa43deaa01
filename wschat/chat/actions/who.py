"""List the members of a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.costs import NAME_LISTED
from wschat.chat.fields import RoomName
from wschat.chat.messages import topic_fields
from wschat.chat.moderation import BAN
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.chat.text import as_topic_line
from wschat.events import Members


@dataclass(frozen=True)
class Who(Action[Members]):
    """List the members of a room."""

    type = "who"
    commands = (Command("/who", "list the members of the room"),)
    needs_name = False
    needs_moderator = False

    room: RoomName

    def run(self, state: State, session: Session) -> Members:
        """Return the members, and the topic. Raises Rejected for a session that is banned from the room."""
        state.moderation.check(BAN, session, self.room)
        topic = topic_fields(state.broker.topic(self.room))
        return Members(self.room, state.broker.members(self.room), state.rooms.count_unnamed(self.room), self.id, topic)

    def plain_reply(self, reply: Members) -> str:
        """List the names and the number of members without one, and below them the topic."""
        names = sorted(reply.members)
        if reply.unnamed:
            names.append(f"{reply.unnamed} without a name")
        topic = f"\n{as_topic_line(reply.room, reply.topic['from'], reply.topic['text'])}" if reply.topic else ""
        return f"In {reply.room}: {', '.join(names) or 'nobody'}.{topic}"

    def cost(self, state: State, session: Session, reply: Members) -> float:
        """Count the names."""
        return len(reply.members) * NAME_LISTED
