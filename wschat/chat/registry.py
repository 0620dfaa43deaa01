"""The registry of actions: which there are, by their types and by their commands.

`register` refuses an action that is not complete, so that it fails when the program starts and not when a client uses it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from typing import NamedTuple

from wschat.chat.action import Action, AnyAction, Command
from wschat.chat.schema import Schema

_DECLARED = ("type", "commands", "needs_name", "needs_moderator")


class Entry(NamedTuple):
    """A command, and the action that it makes."""

    command: Command
    schema: Schema


class Registry:
    """All actions. Filled while `wschat.chat.actions` is imported, and not changed afterwards: any thread may read it."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        """The schemas of all actions, by `type`."""
        self.commands: dict[str, Entry] = {}
        """All commands, by name: those for everyone before those for moderators."""

    def register(self, kind: type[AnyAction]) -> None:
        """Add an action. Raises TypeError if it lacks a part, or if its type or one of its commands is there already."""
        missing = sorted(kind.__abstractmethods__) + [name for name in _DECLARED if not hasattr(kind, name)]
        if missing:
            raise TypeError(f"the action {kind.__qualname__} lacks {', '.join(missing)}")
        if not kind.__dict__.get("__doc__") or str(kind.__doc__).startswith(f"{kind.__name__}("):
            raise TypeError(f"the action {kind.__qualname__} lacks a docstring")
        schema = Schema(kind)
        if kind.type in self.schemas:
            raise TypeError(f"two actions have the type {kind.type!r}")
        if kind.needs_moderator and "room" not in schema.checks:
            raise TypeError(f"the action {kind.__qualname__} needs a moderator and lacks the field 'room'")
        for command in kind.commands:
            self._check_command(kind, schema, command)
        self.schemas[kind.type] = schema
        self.commands |= {command.name: Entry(command, schema) for command in kind.commands}
        self.commands = dict(sorted(self.commands.items(), key=lambda item: (item[1].schema.kind.needs_moderator, item[0])))

    def discover(self, package: str, path: Iterable[str]) -> Registry:
        """Import all modules of a package, and add their actions. Raises TypeError for a module that does not hold exactly one."""
        for found in pkgutil.iter_modules(path, f"{package}."):
            module = importlib.import_module(found.name)
            kinds = [value for value in vars(module).values() if _is_action_of(value, found.name)]
            if len(kinds) != 1:
                raise TypeError(f"{found.name} must hold one action, not {len(kinds)}")
            self.register(kinds[0])
        return self

    def _check_command(self, kind: type[AnyAction], schema: Schema, command: Command) -> None:
        if not command.help or not command.usage.startswith("/"):
            raise TypeError(f"the command {command.usage!r} of {kind.__qualname__} lacks its slash or its help")
        if len(command.fields) != len(command.placeholders) or not {*command.fields, *command.defaults} <= schema.checks.keys():
            raise TypeError(f"the words of {command.usage!r} are not fields of {kind.__qualname__}")
        if command.name in self.commands:
            raise TypeError(f"two actions have the command /{command.name}")


def _is_action_of(value: object, module: str) -> bool:
    return inspect.isclass(value) and issubclass(value, Action) and value.__module__ == module


REGISTRY = Registry()
"""The actions of the chat."""
