"""Ban a user from a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.actions.unban import Unban
from wschat.chat.fields import NameOrAddress, RoomName, Seconds
from wschat.chat.moderation import BAN
from wschat.chat.moderator_actions import duration, find_target, remove_banned, revoke_moderator, subjects_for
from wschat.chat.sessions import Session
from wschat.chat.state import State


@dataclass(frozen=True)
class Ban(Action[None]):
    """Keep a user or an address out of a room, for some seconds or until further notice. 0 seconds lift the ban."""

    type = "ban"
    commands = (Command("/ban NAME|ADDRESS [SECONDS]", "keep a user out of the room; 0 seconds lift the ban", ("name", "seconds")),)
    needs_name = False
    needs_moderator = True

    room: RoomName
    name: NameOrAddress
    seconds: Seconds | None = None

    def run(self, state: State, session: Session) -> None:
        """Set the ban and remove all whom it concerns, or lift it. Raises Rejected for a moderator."""
        if self.seconds == 0:
            Unban(self.room, self.name).run(state, session)
            return
        user = find_target(state, session, self.room, self.name)
        state.moderation.set(BAN, self.room, subjects_for(state, self.name, user), self.seconds, str(session.name))
        revoke_moderator(state, session, self.room, user)
        remove_banned(state, str(session.name), self.room, self.seconds)

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        if self.seconds == 0:
            return f"You unbanned {self.name} from {self.room}."
        return f"You banned {self.name}{duration(self.seconds)} from {self.room}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
