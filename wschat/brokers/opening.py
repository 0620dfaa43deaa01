"""Where a history is kept, as users name it: a file, `memory`, or `off`."""

from __future__ import annotations

from wschat.brokers.base import Broker, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker


def open_broker(place: str, retention: Retention) -> Broker:
    """Return the broker that keeps what is said in this place. Raises UsageError."""
    if place in ("memory", "off"):
        return MemoryBroker(retention, keeps_messages=place == "memory")
    return SqliteBroker(place, retention)
