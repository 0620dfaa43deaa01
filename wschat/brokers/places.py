"""Where a history is kept, as users name it: a file, `memory`, or `off`."""

from __future__ import annotations

from wschat.brokers.base import Broker, Retention
from wschat.brokers.local import LocalBroker
from wschat.brokers.memory import MemoryBroker


def open_history(place: str, retention: Retention) -> Broker:
    """Return the broker that keeps what is said in this place. Raises UsageError."""
    if place in ("memory", "off"):
        return MemoryBroker(retention, keeps_messages=place == "memory")
    return LocalBroker(place, retention)
