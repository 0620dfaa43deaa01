"""Mute a user in a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import NameOrAddress, RoomName, Seconds
from wschat.chat.moderation import MUTE
from wschat.chat.moderator_actions import announce, duration, find_target, revoke_moderator, subjects_for
from wschat.chat.sessions import Session, User
from wschat.chat.state import State
from wschat.errors import Rejected
from wschat.events import Notice


@dataclass(frozen=True)
class Mute(Action[None]):
    """Keep a user or an address from speaking in a room, for some seconds or until further notice. 0 seconds lift the mute."""

    type = "mute"
    commands = (
        Command("/mute NAME|ADDRESS [SECONDS]", "keep a user from speaking in the room; 0 seconds lift the mute", ("name", "seconds")),
    )
    needs_name = False
    needs_moderator = True

    room: RoomName
    name: NameOrAddress
    seconds: Seconds | None = None

    def run(self, state: State, session: Session) -> None:
        """Set the mute, or lift it. Raises Rejected for a moderator, and for a mute to be lifted that does not exist."""
        user = find_target(state, session, self.room, self.name)
        if self.seconds == 0:
            self._lift(state, session, user)
        else:
            self._set(state, session, user)

    def _set(self, state: State, session: Session, user: User | None) -> None:
        state.moderation.set(MUTE, self.room, subjects_for(state, self.name, user), self.seconds, str(session.name))
        revoke_moderator(state, session, self.room, user)
        done = f"muted you in {self.room}{duration(self.seconds)}"
        announce(state, session, self.room, user, "mute", done)
        if user is None:  # an address: its sessions are told, and no other
            for listener in state.rooms.sessions_in(self.room):
                if state.moderation.holds(MUTE, listener, self.room):
                    listener.notify(Notice(f"{session.name} {done}.", room=self.room, event="mute"))

    def _lift(self, state: State, session: Session, user: User | None) -> None:
        if not state.moderation.lift(MUTE, self.room, self.name, str(session.name)):
            raise Rejected("not-muted", f"{self.name} is not muted in {self.room}.")
        announce(state, session, self.room, user, "unmute", f"unmuted you in {self.room}")

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        if self.seconds == 0:
            return f"You unmuted {self.name} in {self.room}."
        return f"You muted {self.name} in {self.room}{duration(self.seconds)}."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
