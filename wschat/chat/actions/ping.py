"""Check that the server replies."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import Pong


@dataclass(frozen=True)
class Ping(Action[Pong]):
    """Get a `pong`: for a page, whose JavaScript can send no ping frame and sees none."""

    type = "ping"
    commands = ()
    needs_name = False
    needs_moderator = False

    def run(self, state: State, session: Session) -> Pong:
        """Return the reply."""
        return Pong(self.id)

    def plain_reply(self, reply: Pong) -> None:
        """Reply nothing: plain text has no form of it."""

    def cost(self, state: State, session: Session, reply: Pong) -> float:
        """Count nothing besides the request."""
        return 0.0
