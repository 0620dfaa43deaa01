"""Calling publishers and subscribers."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("wschat.brokers")


def call_logged(callback: Callable[..., None], *arguments: object) -> None:
    """Call a publisher or a subscriber. Log an exception instead of raising it, so that the other callbacks are called too."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("%r failed", callback)
