"""List the commands, for people."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.registry import REGISTRY
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import Notice


@dataclass(frozen=True)
class Help(Action[Notice]):
    """List the commands, as a text."""

    type = "help"
    commands = (Command("/help", "list the commands"),)
    needs_name = False
    needs_moderator = False

    def run(self, state: State, session: Session) -> Notice:
        """Write a line for each command."""
        lines = [f"{command.usage}  {command.help}" for command, _ in REGISTRY.commands.values()]
        return Notice("\n".join([*lines, "//TEXT  send a text that begins with a slash"]), self.id)

    def plain_reply(self, reply: Notice) -> str:
        """Write the list."""
        return reply.text

    def cost(self, state: State, session: Session, reply: Notice) -> float:
        """Count nothing besides the request."""
        return 0.0
