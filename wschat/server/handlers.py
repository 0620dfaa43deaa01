"""Handlers that could never work: found when a server is made, not when the first client comes.

A server calls a handler in a thread. A call of an `async def` function, or of a generator, runs nothing of it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from wschat.errors import UsageError


def check_function(function: Callable[[Any], object], role: str, argument: str) -> None:
    """Raise UsageError unless a call of this with one argument runs it. `role` says in an error what it is for."""
    if not callable(function):
        raise UsageError(f"{role} must be a function of {argument}, not {function!r}")
    check_runs_when_called(function, role)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # as of some that are written in C
        return
    try:
        signature.bind(argument)
    except TypeError as error:
        raise UsageError(f"{role} {_name_of(function)} must take one argument, {argument}: {error}") from None


def check_class(handler_class: Any, base: type) -> None:
    """Raise UsageError unless this is a subclass of `base` (or a partial of one) that can handle a connection."""
    cls = handler_class.func if isinstance(handler_class, functools.partial) else handler_class
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise UsageError(f"a handler class must be a {base.__name__}, not {handler_class!r}")
    for name in ("setup", "check_request", "handle", "finish"):
        check_runs_when_called(getattr(cls, name), "the method")
    if cls.handle is base.handle:  # type: ignore[attr-defined]
        raise UsageError(f"{cls.__qualname__} must have a method `handle`")


def check_runs_when_called(function: Callable[..., object], role: str) -> None:
    """Raise UsageError for what is async or a generator."""
    for code in (function, type(function).__call__):
        if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
            raise UsageError(f"{role} {_name_of(function)} must be a plain function (`def`), which may block: it is async")
        if inspect.isgeneratorfunction(code):
            raise UsageError(f"{role} {_name_of(function)} must be a plain function: it has a `yield`, so that a call runs nothing of it")


def check_has_run(result: object, role: str) -> None:
    """Raise UsageError if a function has returned what has still to be run, as a lambda does that calls an `async def` function."""
    if result is not None and (inspect.isawaitable(result) or inspect.isasyncgen(result) or inspect.isgenerator(result)):
        getattr(result, "close", lambda: None)()
        raise UsageError(f"{role} must run when it is called: it has returned {result!r}, which nobody runs")


def _name_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__qualname__', None) or type(function).__qualname__}()"
