"""Counters of this process: messages, deliveries, connections, evictions, refusals. The code that does a thing counts it.

Each process has one `counters`. Counting takes a lock, which is the last in the lock order and held only briefly. Frequent events
are therefore counted once for a whole batch. How the counts are shown (metrics, dashboard) is decided elsewhere.
"""

from __future__ import annotations

import copy
import enum
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import accumulate
from typing import NamedTuple

from wschat.forks import call_in_child

FAN_OUT_BOUNDS = tuple(0.00001 * 2.0**power for power in range(21))
"""Upper bounds of the fan-out histogram's buckets, in seconds: 10 microseconds to 10 seconds. One more bucket holds longer times."""


class Eviction(enum.Enum):
    """Why a slow peer was evicted. The value is the label in metrics."""

    OUTBOX_FULL = "outbox full"
    """Too many bytes were waiting for the peer."""
    TOO_OLD = "too old"
    """A message waited too long for the peer."""
    SEND_TIMEOUT = "send timeout"
    """A send waited too long for room in the outbox."""


class Refusal(enum.Enum):
    """Why a connection was refused without an HTTP status of its own. The value is the label in metrics."""

    TOO_MANY_CONNECTIONS = "too many connections"
    NO_THREAD = "no thread to be had"
    NO_DESCRIPTOR = "no descriptor is left"
    NO_TLS = "no TLS"
    NO_PROXY_HEADER = "no header of the PROXY protocol"
    OTHER = "other"
    """A status that is not registered. The number of labels is bounded, so that no client can make the memory grow."""


RefusalReason = Refusal | HTTPStatus
"""Why a connection or a request was refused."""


def refusal_of(status: int) -> RefusalReason:
    """Return the reason to count for an HTTP status."""
    try:
        return HTTPStatus(status)
    except ValueError:
        return Refusal.OTHER


def by_label(counts: Mapping[Eviction, int] | Mapping[RefusalReason, int]) -> dict[str, int]:
    """Return counts by the label of their reason: an HTTP status as its number, any other reason as its value."""
    return {str(reason.value): count for reason, count in counts.items()}


@dataclass
class Counts:
    """Counts since the process began."""

    messages: int = 0
    """Chat messages written to a room's log."""
    deliveries: int = 0
    """Messages of hubs, counted once for each recipient."""
    opened: int = 0
    """WebSockets and event streams opened."""
    closed: int = 0
    """WebSockets and event streams closed."""
    evictions: Counter[Eviction] = field(default_factory=Counter)
    """Slow peers evicted, by reason."""
    refusals: Counter[RefusalReason] = field(default_factory=Counter)
    """Connections and requests refused, by reason."""
    fan_outs: list[int] = field(default_factory=lambda: [0] * (len(FAN_OUT_BOUNDS) + 1))
    """Messages in each bucket of the histogram of the time from a hub to its last member."""
    fan_out_seconds: float = 0.0
    """The sum of these times, in seconds."""


class Load(NamedTuple):
    """The connections of a server at one moment."""

    connections: Mapping[str, int]
    """Open connections, by kind: "websocket", "events" or "http"."""
    waiting_bytes: int
    """Bytes that wait in outboxes."""


class Counters:
    """Thread-safe counters. Every method may be called with any other lock held."""

    def __init__(self) -> None:
        self._counts_lock = threading.Lock()  # guards _counts; the last in the lock order
        self._counts = Counts()

    def replace_lock(self) -> None:
        """Replace the lock in a forked child, where a thread of the parent may have held it."""
        self._counts_lock = threading.Lock()

    def read(self) -> Counts:
        """Return a copy of the counts."""
        with self._counts_lock:
            return copy.deepcopy(self._counts)

    def count_messages(self, messages: int) -> None:
        """Count messages written to a room's log."""
        with self._counts_lock:
            self._counts.messages += messages

    def count_fan_out(self, deliveries: int, durations: Iterable[float]) -> None:
        """Count a batch sent by a hub: its deliveries, and the seconds that each of its messages took."""
        counts = self._counts
        with self._counts_lock:
            counts.deliveries += deliveries
            for seconds in durations:
                counts.fan_outs[bisect_left(FAN_OUT_BOUNDS, seconds)] += 1
                counts.fan_out_seconds += seconds

    def count_opened(self) -> None:
        """Count an opened WebSocket or event stream."""
        with self._counts_lock:
            self._counts.opened += 1

    def count_closed(self) -> None:
        """Count a closed WebSocket or event stream."""
        with self._counts_lock:
            self._counts.closed += 1

    def count_eviction(self, reason: Eviction) -> None:
        """Count an evicted peer."""
        with self._counts_lock:
            self._counts.evictions[reason] += 1

    def count_refusal(self, reason: RefusalReason) -> None:
        """Count a refused connection or request."""
        with self._counts_lock:
            self._counts.refusals[reason] += 1


counters = Counters()
"""The counters of this process."""

call_in_child(counters.replace_lock)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the quantile of a fan-out histogram in seconds, or None if the histogram is empty.

    `share` is between 0 and 1. Values are assumed to be spread evenly within a bucket.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    bucket = next(number for number, total in enumerate(accumulate(counts)) if total >= rank)
    if bucket == len(FAN_OUT_BOUNDS):
        return FAN_OUT_BOUNDS[-1]
    lower = FAN_OUT_BOUNDS[bucket - 1] if bucket else 0.0
    return lower + (FAN_OUT_BOUNDS[bucket] - lower) * (rank - sum(counts[:bucket])) / counts[bucket]
