"""The decorators that add handlers to a bot."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from wschat.callables import check_runs_when_called, name_of
from wschat.client.bot.commands import Command, check_name
from wschat.client.bot.handlers import Handlers, Periodic
from wschat.errors import UsageError
from wschat.limits import MAX_SECONDS

_Function = TypeVar("_Function", bound=Callable[..., object])


class Decorators:
    """Decorators for handlers. Each returns the function unchanged, and raises UsageError for one that could not be called.

    They are for use before the bot runs.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

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
            self._handlers.add_command(Command(name, function, help, moderators_only, cooldown))
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
            _check(function, "an on_message handler", "the message")
            self._handlers.add_pattern(compiled, function)
            return function

        return add

    def on_join(self, function: _Function) -> _Function:
        """Call a function with each `Member` who joins a room of the bot. As a decorator: `@bot.on_join`."""
        _check(function, "an on_join handler", "the member")
        self._handlers.add_greeter(function)
        return function

    def every(self, seconds: float) -> Callable[[_Function], _Function]:
        """Return a decorator for a function that is called every so many seconds while the bot runs, the first time after that time.

        A call is left out if the one before it has not returned.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_SECONDS:
            raise UsageError(f"every takes a number of seconds, more than 0 and at most {MAX_SECONDS:g}, not {seconds!r}")

        def add(function: _Function) -> _Function:
            _check(function, "a function for every")
            self._handlers.add_periodic(Periodic(seconds, function))
            return function

        return add


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
