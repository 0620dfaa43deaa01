"""The handlers of a bot, and the decorators that add them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from wschat.callables import check_runs_when_called, name_of
from wschat.client.bot.commands import Call, Command, Commands, check_name
from wschat.client.bot.message import Member, Message
from wschat.errors import UsageError
from wschat.limits import MAX_SECONDS

_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Periodic:
    """A function that is called at intervals."""

    seconds: float
    """The interval."""
    function: Callable[[], object]
    """The function."""


class Handlers:
    """The handlers of a bot. Each decorator returns the function unchanged, and raises UsageError for one that could not be called."""

    def __init__(self, prefix: str) -> None:
        self._commands = Commands(prefix)
        self._on_message: list[tuple[re.Pattern[str] | None, Callable[[Message], object]]] = []
        self._on_join: list[Callable[[Member], object]] = []
        self.periodic: list[Periodic] = []
        """The functions of `every`."""
        self.is_closed = False
        """True while the bot runs: no handlers can be added then."""

    def command(
        self,
        name: str,
        *,
        help: str = "",  # noqa: A002
        moderators_only: bool = False,
        cooldown: float = 0.0,
    ) -> Callable[[_Function], _Function]:
        """Return a decorator that makes a function a command: `@bot.command("roll")` answers `!roll`.

        The function is called with the `Message` and the arguments that its signature has: words that are converted to str, int, float,
        bool, a Literal or an Enum by the annotations. The last parameter, if it is a str, and a keyword-only one take the rest of the
        text; `*words` takes all words that are left. Quotes keep words together. A wrong call is answered with the usage.

        `help` is shown by `!help`; by default it is the first line of the docstring. With `moderators_only`, only moderators of the room
        may use it. `cooldown` is the number of seconds until the same sender may use it again.
        """

        check_name(name)

        def add(function: _Function) -> _Function:
            self._check_is_open()
            self._commands.add(Command(name, function, help, moderators_only, cooldown))
            return function

        return add

    def on_message(self, pattern: str | re.Pattern[str] | None = None) -> Callable[[_Function], _Function]:
        """Return a decorator for a function that is called with each `Message` in a room in which the pattern is found; None for all.

        A message that is a command is both: the command runs first. `message.match` is the match of the pattern.
        """
        if pattern is not None and not isinstance(pattern, (str, re.Pattern)):
            raise UsageError(
                f'on_message takes a pattern, as in @bot.on_message(r"\\bhello\\b"), or nothing: @bot.on_message(), not {pattern!r}'
            )
        try:
            compiled = re.compile(pattern) if pattern is not None else None
        except re.error as error:
            raise UsageError(f"the pattern {pattern!r} of on_message is not a regular expression: {error}") from None

        def add(function: _Function) -> _Function:
            self._check_is_open()
            _check(function, "an on_message handler", "the message")
            self._on_message.append((compiled, function))
            return function

        return add

    def on_join(self, function: _Function) -> _Function:
        """Call a function with the `Member` whenever someone joins a room of the bot. As a decorator: `@bot.on_join`."""
        self._check_is_open()
        _check(function, "an on_join handler", "the member")
        self._on_join.append(function)
        return function

    def every(self, seconds: float) -> Callable[[_Function], _Function]:
        """Return a decorator for a function that is called every so many seconds while the bot runs, the first time after that time.

        A call is left out if the one before it has not returned.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_SECONDS:
            raise UsageError(f"every takes a number of seconds, more than 0 and at most {MAX_SECONDS:g}, not {seconds!r}")

        def add(function: _Function) -> _Function:
            self._check_is_open()
            _check(function, "a function for every")
            self.periodic.append(Periodic(seconds, function))
            return function

        return add

    def wants(self, message: Message) -> bool:
        """Return True if a message may be one to handle. Quick."""
        return bool(self._on_message) or self._commands.find(message) is not None

    def calls_for_message(self, message: Message) -> list[Call]:
        """Return what is to be done for a message, in order."""
        command = self._commands.find(message)
        return [*([command] if command else []), *(self._pattern_calls(message) if message.room else ())]

    def calls_for_member(self, member: Member) -> list[Call]:
        """Return what is to be done for a member who has joined."""
        return [Call(name_of(function), partial(function, member), is_answered=False) for function in self._on_join]

    def _check_is_open(self) -> None:
        if self.is_closed:
            raise UsageError("add handlers before the bot runs")

    def _pattern_calls(self, message: Message) -> list[Call]:
        calls = []
        for pattern, function in self._on_message:
            match = pattern.search(message.text) if pattern else None
            if match or pattern is None:
                matched = replace(message, match=match)
                # A function that sees every message was not asked for anything: its errors would fill the room.
                calls.append(Call(name_of(function), partial(function, matched), is_answered=pattern is not None))
        return calls


def _check(function: Any, role: str, *arguments: str) -> None:
    """Raise UsageError unless a function can be called with these arguments, and runs then."""
    if not callable(function):
        raise UsageError(f"{role} must be a function, not {function!r}")
    check_runs_when_called(function, role)
    try:
        inspect.signature(function).bind(*arguments)
    except ValueError:  # some functions written in C have no signature
        return
    except TypeError as error:
        takes = f"one argument, {arguments[0]}" if arguments else "no arguments"
        raise UsageError(f"{role} {name_of(function)} must take {takes}: {error}") from None
