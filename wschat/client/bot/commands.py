"""The commands of a bot: found in messages, checked, and run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wschat.client.bot.cooldown import Cooldown
from wschat.client.bot.message import Message
from wschat.client.bot.signature import Signature, WrongCall
from wschat.errors import UsageError
from wschat.limits import MAX_SECONDS

_HELP = "help"


@dataclass(frozen=True)
class Call:
    """What a handler is to do for one message."""

    name: str
    """The handler, for people."""
    run: Callable[[], object]
    """Do it. Raises what the handler raises."""
    apology: str = ""
    """What the author of the message is told of an error; empty if no answer is expected."""


def check_name(name: object) -> None:
    """Raise UsageError unless this can be the name of a command."""
    if not isinstance(name, str) or not name or any(map(str.isspace, name)):
        raise UsageError(f'the name of a command must be one word, as in @bot.command("roll"), not {name!r}')


class Command:
    """One command. Raises UsageError if it could not be served."""

    def __init__(self, name: str, function: Callable[..., object], summary: str, moderators_only: bool, cooldown: float) -> None:
        if not 0 <= cooldown <= MAX_SECONDS:  # also refuses NaN
            raise UsageError(f"the cooldown of {name} must be 0 to {MAX_SECONDS:g} seconds, not {cooldown!r}")
        self.name = name
        """The name, without the prefix."""
        self.help = summary or (function.__doc__ or "").strip().partition("\n")[0]
        """What it does, in one line; by default the first line of the function's docstring."""
        self.moderators_only = moderators_only
        """True if only moderators of the room may use it."""
        self._function = function
        self._signature = Signature(function)
        self._cooldown = Cooldown(cooldown)

    @property
    def usage(self) -> str:
        """The name and the arguments."""
        return f"{self.name}{self._signature.usage}"

    def run(self, prefix: str, message: Message, text: str) -> None:
        """Call the function with the arguments in a text, or answer why not. Raises what the function raises.

        No answer of its own begins with the prefix, because another bot may have a command of that name.
        """
        if self.moderators_only and not message.is_moderator:
            message.reply(f"Only moderators may use {prefix}{self.name}{' in a room' if not message.room else ''}.")
            return
        try:
            positional, keywords = self._signature.bind(text)
        except WrongCall as error:
            message.reply(f"Usage: {prefix}{self.usage} ({error})")
            return
        seconds = self._cooldown.begin(message.sender)
        if not seconds:
            self._function(message, *positional, **keywords)
        elif self._cooldown.tell(message.sender):
            message.reply(f"Wait {math.ceil(seconds)} s before you use {prefix}{self.name} again.")


class Commands:
    """The commands of one bot. Names are compared without case."""

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str) or not prefix or prefix != prefix.strip() or prefix.startswith("/"):
            raise UsageError(
                f"a prefix must be a text like !, without spaces around it and without a slash, which begins commands of the server, "
                f"not {prefix!r}"
            )
        self._prefix = prefix
        self._by_key: dict[str, Command] = {}

    def add(self, command: Command) -> None:
        """Add a command. Raises UsageError if its name is taken."""
        key = command.name.casefold()
        if key == _HELP:
            raise UsageError(f"{self._prefix}{_HELP} is made from the commands: give the command another name")
        if key in self._by_key:
            raise UsageError(f"there are two commands {self._prefix}{command.name}: give one of them another name")
        self._by_key[key] = command

    def find(self, message: Message) -> Call | None:
        """Return what a message asks for, or None if it is not a command of this bot: it may be one of another bot."""
        text = message.text.lstrip()
        if text[: len(self._prefix)].casefold() != self._prefix.casefold():
            return None
        name, *rest = text[len(self._prefix) :].split(maxsplit=1) or [""]
        arguments = rest[0] if rest else ""
        key = name.casefold()
        if key == _HELP:
            return self._call(_HELP, lambda: message.reply(self.help_text(arguments, message.is_moderator)))
        command = self._by_key.get(key)
        if command is None:
            return None
        return self._call(command.name, partial(command.run, self._prefix, message, arguments))

    def help_text(self, name: str, for_moderator: bool) -> str:
        """Return the help on one command, or the list of all that a user may use."""
        if not name:
            commands = [command for command in self._by_key.values() if for_moderator or not command.moderators_only]
            return "\n".join(["Commands:", *map(self._line, commands), f"{self._prefix}{_HELP} [COMMAND]: explain the commands"])
        command = self._by_key.get(name.strip().casefold().removeprefix(self._prefix.casefold()))
        if command is None:
            return f"There is no command {name.strip()[:40]!r}. {self._prefix}{_HELP} lists the commands."
        return f"Usage: {self._line(command)}{' (for moderators)' if command.moderators_only else ''}"

    def _call(self, name: str, run: Callable[[], object]) -> Call:
        return Call(f"{self._prefix}{name}", run, f"Sorry, {self._prefix}{name} failed.")

    def _line(self, command: Command) -> str:
        return f"{self._prefix}{command.usage}{f': {command.help}' if command.help else ''}"
