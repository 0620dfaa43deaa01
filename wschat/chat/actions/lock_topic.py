"""Let only moderators set the topic of a room."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import Flag, RoomName
from wschat.chat.moderation import EVERYONE, TOPIC_LOCK
from wschat.chat.sessions import Session
from wschat.chat.state import State


@dataclass(frozen=True)
class LockTopic(Action[None]):
    """Let only moderators set the topic of a room, or let all members set it again."""

    type = "lock-topic"
    commands = (
        Command("/lock-topic", "let only moderators set the topic of the room"),
        Command("/unlock-topic", "let all members set the topic of the room again", defaults={"locked": False}),
    )
    needs_name = False
    needs_moderator = True

    room: RoomName
    locked: Flag = True

    def run(self, state: State, session: Session) -> None:
        """Set the rule, or lift it if there is one."""
        if self.locked:
            state.moderation.set(TOPIC_LOCK, self.room, [EVERYONE], None, str(session.name))
        else:
            state.moderation.lift(TOPIC_LOCK, self.room, EVERYONE, str(session.name))

    def plain_reply(self, reply: None) -> str:
        """Confirm it."""
        return f"{'Only moderators' if self.locked else 'All members'} can set the topic of {self.room} now."

    def cost(self, state: State, session: Session, reply: None) -> float:
        """Count nothing besides the request."""
        return 0.0
