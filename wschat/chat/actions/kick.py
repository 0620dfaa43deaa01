"""Remove a user from a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import Name, RoomName
from wschat.chat.moderation import log
from wschat.chat.moderator_actions import find_target, remove_from_room, sessions_of
from wschat.chat.nodes import ElsewhereKick, is_member_of_any, tell
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.errors import Rejected


@dataclass(frozen=True)
class Kick(Action[None]):
    """Remove a user from a room. The user may join it again."""

    type = "kick"
    commands = (Command("/kick NAME", "remove a user from the room", ("name",)),)
    needs_name = False
    needs_moderator = True

    room: RoomName
    name: Name

    def run(self, state: State, session: Session) -> None:
        """Remove the user. Raises Rejected for a moderator, and for a user who is not in the room."""
        user = find_target(state, session, self.room, self.name)
        by = str(session.name)
        is_removed = remove_from_room(state, by, self.room, sessions_of(state, user), "kick", "removed you")
        if is_member_of_any(state, [self.room], self.name):
            tell(state, ElsewhereKick(self.room, self.name, by))
        elif not is_removed:
            raise Rejected("no-such-person", f"{self.name} is not in {self.room}.")
        log(by, "kick", self.name, self.room)

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        return f"You removed {self.name} from {self.room}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
