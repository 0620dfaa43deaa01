"""Examples that the tests of an action define, collected for the tests of the parser.

A module `test_NAME.py` of this folder may have an `EXAMPLE` of its action, and its `COMMANDS`: lines typed in the lobby, with the
actions that they make.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import tests.chat.actions as folder
from wschat.chat.action import AnyAction


class Example(NamedTuple):
    """An action with its required fields only, and with all fields."""

    fields: dict[str, Any]
    """The required fields."""
    least: AnyAction
    """The action with the required fields only."""
    more: dict[str, Any]
    """The optional fields."""
    most: AnyAction
    """The action with all fields."""


def examples() -> list[Example]:
    """Return the examples of all modules."""
    return list(_defined("EXAMPLE"))


def commands() -> dict[str, AnyAction]:
    """Return the commands of all modules."""
    return {line: action for lines in _defined("COMMANDS") for line, action in lines.items()}


def _defined(name: str) -> Iterator[Any]:
    for found in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
        if ".test_" in found.name:
            module = importlib.import_module(found.name)
            if hasattr(module, name):
                yield getattr(module, name)
