"""The handlers of a bot, and what they are to do for a message or a member."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from wschat.callables import name_of
from wschat.client.bot.commands import Call, Command, Commands
from wschat.client.bot.message import Member, Message
from wschat.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., object])

_APOLOGY = "Sorry, I could not handle that."


@dataclass(frozen=True)
class Periodic:
    """A function that is called at intervals."""

    seconds: float
    """The interval."""
    function: Callable[[], object]
    """The function."""


class Handlers:
    """The handlers of a bot. They are added before it runs; then any thread may ask for calls."""

    def __init__(self, prefix: str) -> None:
        self._commands = Commands(prefix)
        self._patterns: list[tuple[re.Pattern[str] | None, Callable[[Message], object]]] = []
        self._greeters: list[Callable[[Member], object]] = []
        self.periodic: list[Periodic] = []
        """The functions of `every`."""
        self.is_closed = False
        """True while the bot runs: no handlers can be added then."""

    def add_command(self, command: Command) -> None:
        """Add a command. As the methods below, raises UsageError if the bot runs; also if there is a command of this name."""
        self._check_is_open()
        self._commands.add(command)

    def add_pattern(self, pattern: re.Pattern[str] | None, function: Callable[[Message], object]) -> None:
        """Add a function for messages in which a pattern is found, None for all messages."""
        self._check_is_open()
        self._patterns.append((pattern, function))

    def add_greeter(self, function: Callable[[Member], object]) -> None:
        """Add a function for members who join."""
        self._check_is_open()
        self._greeters.append(function)

    def add_periodic(self, periodic: Periodic) -> None:
        """Add a function that is called at intervals."""
        self._check_is_open()
        self.periodic.append(periodic)

    def wants(self, message: Message) -> bool:
        """Return True if a message may be one to handle. Quick."""
        return bool(self._patterns) or self._commands.find(message) is not None

    def calls_for_message(self, message: Message) -> list[Call]:
        """Return what is to be done for a message, in order."""
        command = self._commands.find(message)
        return [*([command] if command else []), *(self._pattern_calls(message) if message.room else ())]

    def calls_for_member(self, member: Member) -> list[Call]:
        """Return what is to be done for a member who has joined."""
        return [Call(name_of(function), partial(function, member)) for function in self._greeters]

    def _check_is_open(self) -> None:
        if self.is_closed:
            raise UsageError("add handlers before the bot runs")

    def _pattern_calls(self, message: Message) -> list[Call]:
        calls = []
        for pattern, function in self._patterns:
            match = pattern.search(message.text) if pattern else None
            if match or pattern is None:
                matched = replace(message, match=match)
                # A function that sees every message was not asked for anything: its errors would fill the room.
                calls.append(Call(name_of(function), partial(function, matched), "" if pattern is None else _APOLOGY))
        return calls
