"""Set the topic of a room, or read it."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.brokers.base import TOPIC, Draft
from wschat.chat.action import LATER, Action, Command
from wschat.chat.actions.say import deduplication_key
from wschat.chat.costs import cost_of_saying
from wschat.chat.fields import Line, RoomName
from wschat.chat.messages import topic_event
from wschat.chat.moderation import BAN
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.chat.text import as_topic_line
from wschat.errors import Rejected
from wschat.events import Event, TopicEvent


@dataclass(frozen=True)
class Topic(Action[Event]):
    """Set the topic of a room, or clear it with an empty text. Without a text, read it.

    A topic is an entry of the log, as a message is: with an id it is set once, however often it is sent.
    """

    type = "topic"
    commands = (Command("/topic [TEXT]", "show the topic of the room, or set it; - clears it", ("text",)),)
    needs_name = False  # to read it
    needs_moderator = False

    room: RoomName
    text: Line | None = None

    def run(self, state: State, session: Session) -> Event:
        """Hand the topic to the broker. The dialect replies when it is durable. Without a text, return the topic."""
        state.moderation.check(BAN, session, self.room)
        if self.text is None:
            return topic_event(self.room, state.broker.topic(self.room), self.id)
        if session.user is None:
            raise Rejected("nameless", "Choose a name first. Type /nick NAME to take one.")
        state.moderation.check_may_set_topic(session, self.room)
        state.new_rooms.check(session, self.room)
        key = deduplication_key(session.name, self.id)
        session.say(state.broker, Draft(self.room, session.user.name, self.text, key, self.id, TOPIC))
        return LATER

    def plain_reply(self, reply: Event) -> str:
        """Write the topic and who set it."""
        if isinstance(reply, TopicEvent) and reply.text:
            return as_topic_line(self.room, reply.sender, reply.text)
        return f"{self.room} has no topic."

    def cost(self, state: State, session: Session, reply: Event) -> float:
        """Count the characters for each connection that is told."""
        return cost_of_saying(state.rooms, self.room, self.text or "")
