"""Join a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import LATER, Action, Command
from wschat.chat.costs import NAME_LISTED
from wschat.chat.fields import DEFAULT_MESSAGES, MAX_MESSAGES, Number, RoomName, String
from wschat.chat.messages import topic_event
from wschat.chat.moderation import BAN
from wschat.chat.past import Resume
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.chat.text import as_topic_line
from wschat.events import Event, TopicEvent


@dataclass(frozen=True)
class Join(Action[Event | None]):
    """Join a room, and get the messages after `since`, or the last ones.

    `since` counts only in the epoch `epoch`, if that is given.
    """

    type = "join"
    commands = (Command("/join ROOM", "go to a room", ("room",)),)
    needs_name = True
    needs_moderator = False

    room: RoomName
    since: Number | None = None
    epoch: String | None = None

    def run(self, state: State, session: Session) -> Event | None:
        """Join it; a client of one room at a time leaves the other one."""
        one_room = session.dialect.one_room
        state.moderation.check(BAN, session, self.room)
        # A client of one room at a time asks for the past by `history`, and its reply comes after it has left the other room.
        state.rooms.join(self.room, session, None if one_room else Resume(self.since, self.epoch, self.id))
        if state.moderation.holds(BAN, session, self.room):  # set while the session was not in the room to be removed
            state.rooms.leave(self.room, session, "ban")
            state.moderation.check(BAN, session, self.room)
        if not one_room:
            return LATER
        for other in session.rooms.keys() - {self.room}:
            state.rooms.leave(other, session)
        topic = state.broker.topic(self.room)
        return topic_event(self.room, topic) if topic else None

    def plain_reply(self, reply: Event | None) -> str:
        """Name the room, and below it the topic."""
        topic = f"\n{as_topic_line(self.room, reply.sender, reply.text)}" if isinstance(reply, TopicEvent) else ""
        return f"You are now in {self.room}.{topic}"

    def cost(self, state: State, session: Session, reply: Event | None) -> float:
        """Count an event and a name for each member, and the messages read."""
        room = state.rooms.find(self.room)
        if room is None:  # the session has left it already
            return 0.0
        past = DEFAULT_MESSAGES if self.since is None else min(MAX_MESSAGES, max(0, room.last - self.since))
        return room.audience * (1 + NAME_LISTED) + (0 if session.dialect.one_room else min(past, room.last))
