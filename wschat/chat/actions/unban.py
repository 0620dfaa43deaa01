"""Lift a ban."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import NameOrAddress, RoomName
from wschat.chat.moderation import BAN
from wschat.chat.moderator_actions import announce
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.errors import Rejected


@dataclass(frozen=True)
class Unban(Action[None]):
    """Lift the ban of a user, with the addresses that it includes, or of an address."""

    type = "unban"
    commands = (Command("/unban NAME|ADDRESS", "lift a ban", ("name",)),)
    needs_name = False
    needs_moderator = True

    room: RoomName
    name: NameOrAddress

    def run(self, state: State, session: Session) -> None:
        """Lift it. Raises Rejected if there is no such ban."""
        if not state.moderation.lift(BAN, self.room, self.name, str(session.name)):
            raise Rejected("not-banned", f"{self.name} is not banned from {self.room}.")
        announce(state, session, self.room, state.users.find(self.name), "unban", f"unbanned you from {self.room}")

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        return f"You unbanned {self.name} from {self.room}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
