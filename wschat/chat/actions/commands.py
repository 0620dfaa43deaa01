"""List the commands, for programs."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action
from wschat.chat.registry import REGISTRY, Entry
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import CommandList


@dataclass(frozen=True)
class Commands(Action[CommandList]):
    """List the commands, as objects: for a client that completes what its user types, or shows help."""

    type = "commands"
    commands = ()
    needs_name = False
    needs_moderator = False

    def run(self, state: State, session: Session) -> CommandList:
        """Return an object for each command, with `moderator` if it is for moderators."""
        return CommandList([_as_object(entry) for entry in REGISTRY.commands.values()], self.id)

    def plain_reply(self, reply: CommandList) -> None:
        """Reply nothing: plain text has `/help`."""

    def cost(self, state: State, session: Session, reply: CommandList) -> float:
        """Count nothing besides the request."""
        return 0.0


def _as_object(entry: Entry) -> dict[str, object]:
    command = entry.command
    shown: dict[str, object] = {"name": command.name, "usage": command.usage, "help": command.help}
    return {**shown, "moderator": True} if entry.schema.kind.needs_moderator else shown
