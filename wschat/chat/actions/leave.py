"""Leave a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.costs import cost_of_announcing
from wschat.chat.fields import RoomName
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.errors import Rejected


@dataclass(frozen=True)
class Leave(Action[None]):
    """Leave a room."""

    type = "leave"
    commands = (Command("/leave", "leave the room"),)
    needs_name = False
    needs_moderator = False

    room: RoomName

    def run(self, state: State, session: Session) -> None:
        """Leave it. Raises Rejected if the session is not in it."""
        if not state.rooms.leave(self.room, session):
            raise Rejected("not-in-room", f"You are not in {self.room}.")

    def plain_reply(self, reply: None) -> str:
        """Name the room."""
        return f"You are no longer in {self.room}. Type /join ROOM to enter another room."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count an event for each member."""
        return cost_of_announcing(state.rooms, [self.room])
