"""Reentrance: the modules that hold locks. Signal handlers and `__del__` themselves are in `test_endings`."""

from __future__ import annotations

from importlib import import_module

import pytest

from wschat.connection import reentrance
from wschat.connection.reentrance import is_reentrant


@pytest.mark.parametrize("name", sorted(reentrance.MODULES))
def test_each_named_module_exists(name: str) -> None:
    assert import_module(name).__name__ == name


def test_an_ordinary_call_is_not_reentrant() -> None:
    assert not is_reentrant()


def test_a_call_from_within_a_module_that_holds_locks_is_reentrant() -> None:
    namespace = {"__name__": "wschat.connection.outbox", "interrupted_by": is_reentrant_in_another_module}
    exec("def hold_a_lock(): return interrupted_by()", namespace)
    assert namespace["hold_a_lock"]()  # type: ignore[operator]


def is_reentrant_in_another_module() -> bool:
    return is_reentrant()
