"""The commands of the chat: a line that begins with a slash. To add one, write a function and name it in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wschat.chat.names import RULE, Names, normalize_name
from wschat.chat.rooms import Member, Room


@dataclass(frozen=True)
class Context:
    """What a command may act on: who gave it, where, and the names in use."""

    member: Member
    room: Room
    names: Names


@dataclass(frozen=True)
class Command:
    """A command: how it is written, what it does, and the function that does it and returns the reply."""

    form: str
    help: str
    run: Callable[[Context, str], str]
    needs_argument: bool = False


def run_command(context: Context, line: str) -> str:
    """Do what a line like `/nick alice` says; the reply to whoever gave it."""
    name, _, argument = line[1:].partition(" ")
    argument = argument.strip()
    command = COMMANDS.get(name.lower())
    if command is None:
        return f"There is no command /{name}. /help lists those there are."
    if bool(argument) != command.needs_argument:
        return f"The command is: {command.form}"
    return command.run(context, argument)


def _nick(context: Context, argument: str) -> str:
    name = normalize_name(argument)
    if name is None:
        return f"A name has {RULE}."
    if not context.names.take(name, instead_of=context.member.name):
        return f"The name {name} is taken."
    context.member.name = name
    return f"You are {name} now."


def _who(context: Context, _: str) -> str:
    members = context.room.members()
    named = sorted(member.name for member in members if member.name is not None)
    nameless = len(members) - len(named)
    if nameless:
        named.append(f"{nameless} without a name")
    return f"In {context.room.name}: {', '.join(named)}."


def _help(_: Context, __: str) -> str:
    lines = [f"{command.form}  {command.help}" for command in COMMANDS.values()]
    return "\n".join([*lines, "//TEXT  say a text that begins with a slash"])


COMMANDS = {
    "nick": Command("/nick NAME", f"take a name: {RULE}", _nick, needs_argument=True),
    "who": Command("/who", "say who is in the room", _who),
    "help": Command("/help", "list the commands", _help),
}
