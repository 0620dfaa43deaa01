"""Helpers for tests with several threads or processes."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

Result = TypeVar("Result")

TIMEOUT = 20.0
"""Seconds after which a test gives up waiting. Only a bug takes that long."""


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition is true that no event announces, such as another thread waiting."""
    gives_up_at = monotonic() + TIMEOUT
    while not condition():
        assert monotonic() < gives_up_at, "the condition did not become true"
        threading.Event().wait(0.001)


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns at every opportunity, not only every few milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_in_a_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a new thread, since the event loop of Playwright may be running in this one."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
