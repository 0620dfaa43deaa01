"""Checks of functions that a caller hands in: those that could never work are refused at once, not when they are first needed.

Calling an `async def` function or a generator function does not run its body.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from wschat.errors import UsageError


def check_is_not_async(function: Callable[..., object], role: str) -> None:
    """Raise UsageError for an async function."""
    for code in (function, type(function).__call__):
        if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
            raise UsageError(f"{role} {name_of(function)} must be a plain function (`def`), which may block: it is async")


def check_runs_when_called(function: Callable[..., object], role: str) -> None:
    """Raise UsageError for an async or a generator function."""
    check_is_not_async(function, role)
    for code in (function, type(function).__call__):
        if inspect.isgeneratorfunction(code):
            raise UsageError(f"{role} {name_of(function)} must be a plain function: it has a `yield`, so a call does not run it")


def name_of(function: object) -> str:
    """Return the name of a function for messages, with brackets; that of the class for another callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__qualname__', None) or type(function).__qualname__}()"
