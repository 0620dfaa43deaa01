"""Say something in a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.brokers.base import Draft
from wschat.chat.action import LATER, Action, Command
from wschat.chat.costs import cost_of_saying
from wschat.chat.fields import RoomName, Text
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.chat.text import unescape
from wschat.events import Event, Id, to_json
from wschat.names import NAMELESS, key_of
from wschat.v1 import ME_PREFIX


@dataclass(frozen=True)
class Say(Action[Event]):
    """Say something in a room. A text said with an id is said once, however often it is sent."""

    type = "say"
    commands = (Command("/me TEXT", "say what you are doing", ("text",), prefix=ME_PREFIX),)
    needs_name = True
    needs_moderator = False
    waits_for_messages = False

    room: RoomName
    text: Text

    def run(self, state: State, session: Session) -> Event:
        """Hand the message to the broker. The dialect replies when it is durable."""
        state.moderation.check_may_speak(session, self.room)
        state.new_rooms.check(session, self.room)
        key = deduplication_key(session.name, self.id)
        session.say(state.broker, Draft(self.room, session.name or NAMELESS, unescape(self.text), key, self.id))
        return LATER

    def plain_reply(self, reply: Event) -> None:
        """Reply nothing: the room hears the message."""

    def cost(self, state: State, session: Session, reply: Event) -> float:
        """Count the characters for each connection that hears them."""
        return cost_of_saying(state.rooms, self.room, self.text)


def deduplication_key(name: str | None, action_id: Id | None) -> str | None:
    """Return the key by which the broker knows a message that is sent again: its author and its id, None without an id."""
    return None if action_id is None else f"{key_of(name or NAMELESS)}\n{to_json(action_id)}"
