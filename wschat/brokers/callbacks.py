"""Calling publishers and subscribers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from wschat.brokers.base import Draft, Outcome, Publisher, Result

logger = logging.getLogger("wschat.brokers")


def call_logged(callback: Callable[..., None], *arguments: object) -> None:
    """Call a publisher or a subscriber. Log an exception instead of raising it, so that the other callbacks are called too."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("%r failed", callback)


def report_results(results: Iterable[tuple[Publisher, Draft, Result]]) -> None:
    """Report the results of drafts to their publishers, to each publisher once."""
    outcomes: dict[int, tuple[Publisher, list[Outcome]]] = {}
    for publisher, draft, result in results:
        outcomes.setdefault(id(publisher), (publisher, []))[1].append((draft, result))
    for publisher, of_publisher in outcomes.values():
        call_logged(publisher.on_appended, of_publisher)
