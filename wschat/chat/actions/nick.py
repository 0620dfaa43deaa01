"""Take a name."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.costs import cost_of_announcing
from wschat.chat.fields import Flag, Name, Secret
from wschat.chat.moderation import MUTE
from wschat.chat.sessions import Session
from wschat.chat.state import State

# A client that is in several of the rooms is sent the events of all of them together.
_EVENT = 0.5


@dataclass(frozen=True)
class Nick(Action[None]):
    """Take a name.

    `secret` is that of an earlier connection of the same guest. With `replace`, the name is taken over from the guest's other
    connection, which is closed.
    """

    type = "nick"
    commands = (Command("/nick NAME", "take a name", ("name",)),)
    needs_name = False
    needs_moderator = False

    name: Name
    secret: Secret | None = None
    replace: Flag = False

    def run(self, state: State, session: Session) -> None:
        """Take the name, and tell the rooms. Raises Rejected, and NameTaken."""
        state.access.check_name(session.identity, self.name)
        for room in tuple(session.rooms):
            state.moderation.check(MUTE, session, room)  # another name must not evade it
        if self.secret is not None:
            state.users.set_secret(session, self.secret)
        if session.user is None:
            state.users.sign_in(session, self.name, replace=self.replace)
        else:
            state.users.rename(session, self.name, replace=self.replace)
        state.rooms.rename(session, self.name)

    def plain_reply(self, reply: None) -> str:
        """Repeat the name."""
        return f"You are now {self.name}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count half an event for each member of the session's rooms."""
        return _EVENT * cost_of_announcing(state.rooms, session.rooms)
