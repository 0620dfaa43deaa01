"""Whisper to one user."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import Name, Text
from wschat.chat.moderator_actions import find_user, sessions_of
from wschat.chat.nodes import ElsewhereWhisper, is_member_of_any, tell
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import WhisperEvent
from wschat.names import NAMELESS


@dataclass(frozen=True)
class Whisper(Action[None]):
    """Say something to one user only. It is not kept."""

    type = "whisper"
    commands = (Command("/msg NAME TEXT", "say something to one user only", ("to", "text")),)
    needs_name = True
    needs_moderator = False

    to: Name
    text: Text

    def run(self, state: State, session: Session) -> None:
        """Deliver it to all sessions of the user. Raises Rejected if there is no such user."""
        is_known = is_member_of_any(state, tuple(session.rooms), self.to)
        user = state.users.find(self.to) if is_known else find_user(state, self.to)
        name = user.name if user is not None else self.to
        event = WhisperEvent(session.name or NAMELESS, name, self.text, round(time.time(), 3))
        if is_known:  # first: if the others cannot be told, nobody hears it
            tell(state, ElsewhereWhisper(event.sender, event.to, event.text, event.time))
        for listener in sessions_of(state, user):
            listener.notify(event)

    def plain_reply(self, reply: None) -> str:
        """Repeat the text."""
        return f"To {self.to}: {self.text}"

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
