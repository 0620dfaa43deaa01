"""Make a user a moderator of a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import Name, RoomName
from wschat.chat.moderation import OP, log
from wschat.chat.moderator_actions import announce, find_user
from wschat.chat.sessions import Session
from wschat.chat.state import State


@dataclass(frozen=True)
class Op(Action[None]):
    """Make a user a moderator of a room: a guest until the guest leaves, a user with a proven name permanently."""

    type = "op"
    commands = (Command("/op NAME", "make a user a moderator of the room", ("name",)),)
    needs_name = False
    needs_moderator = True

    room: RoomName
    name: Name

    def run(self, state: State, session: Session) -> None:
        """Grant the rights. Raises Rejected if there is no such user."""
        user = find_user(state, self.name)
        if user.identity.is_proven:
            state.moderation.set(OP, self.room, [user.key], None, str(session.name))
        else:
            user.moderates.add(self.room)  # not a rule: another guest may have this name next
            log(str(session.name), OP, user.name, self.room)
        announce(state, session, self.room, user, "op", f"made you a moderator of {self.room}")

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        return f"You made {self.name} a moderator of {self.room}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
