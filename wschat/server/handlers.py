"""Checks of handlers: those that could never work are refused when a server is made, not when the first client connects.

A server calls a handler in a thread. Calling an `async def` function or a generator function does not run its body.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from wschat.callables import check_runs_when_called, name_of
from wschat.errors import UsageError


def check_function(function: Callable[[Any], object], role: str, argument: str) -> None:
    """Raise UsageError unless calling this with one argument runs it. `role` and `argument` name both in the error."""
    if not callable(function):
        raise UsageError(f"{role} must be a function of {argument}, not {function!r}")
    check_runs_when_called(function, role)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        signature.bind(argument)
    except TypeError as error:
        raise UsageError(f"{role} {name_of(function)} must take one argument, {argument}: {error}") from None


def check_class(handler_class: Any, base: type) -> None:
    """Raise UsageError unless this is a subclass of `base`, or a partial of one, that implements `handle`."""
    cls = handler_class.func if isinstance(handler_class, functools.partial) else handler_class
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise UsageError(f"a handler class must be a {base.__name__}, not {handler_class!r}")
    for name in ("setup", "check_request", "handle", "finish"):
        check_runs_when_called(getattr(cls, name), "the method")
    if cls.handle is base.handle:  # type: ignore[attr-defined]
        raise UsageError(f"{cls.__qualname__} must have a method `handle`")


def check_has_run(result: object, role: str) -> None:
    """Raise UsageError if a function returned a coroutine or generator, as a lambda that calls an `async def` function does."""
    if result is not None and (inspect.isawaitable(result) or inspect.isasyncgen(result) or inspect.isgenerator(result)):
        getattr(result, "close", lambda: None)()
        raise UsageError(f"{role} must run when it is called: it returned {result!r}, which is never run")
