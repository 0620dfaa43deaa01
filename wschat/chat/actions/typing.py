"""Tell a room that one is typing."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action
from wschat.chat.costs import cost_of_announcing
from wschat.chat.fields import RoomName
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import TypingEvent


@dataclass(frozen=True)
class Typing(Action[None]):
    """Tell the other members of a room that the user is typing."""

    type = "typing"
    commands = ()
    needs_name = True
    needs_moderator = False

    room: RoomName

    def run(self, state: State, session: Session) -> None:
        """Tell the room. Raises Rejected for a session that may not speak there."""
        state.moderation.check_may_speak(session, self.room)
        room = state.rooms.find(self.room)
        if room is not None and session.name is not None:
            room.announce(TypingEvent(self.room, session.name), exclude=[session.connection])

    def plain_reply(self, reply: None) -> None:
        """Reply nothing."""

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count an event for each member."""
        return cost_of_announcing(state.rooms, [self.room])
