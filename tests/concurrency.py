"""Helpers for tests with several threads or processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

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
