"""Counts: what this process has done so far, counted by whatever does it. What they are shown as is not known here.

There is one counters in a process. To count costs a lock, which is taken last of all and never held for long: so whatever comes
often is counted once for a whole batch.
"""

from __future__ import annotations

import copy
import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import accumulate
from typing import Literal, NamedTuple

FAN_OUT_BOUNDS = tuple(0.00001 * 2.0**power for power in range(21))
"""The upper bounds of a histogram's buckets, in seconds: 10 microseconds to 10 seconds. One bucket more has what took longer."""

Eviction = Literal["outbox full", "too old", "send timeout"]
"""Why a slow peer was evicted: too much was waiting for it, something waited for too long, or somebody who sent did."""

OTHER = "other"
"""Why somebody was refused, when it is none of the reasons that are told apart."""

# As the log has them. Reasons come from this set only, so that nobody can make the memory grow.
_REFUSALS = {"too many connections", "no thread to be had", "no descriptor is left", "no TLS", *(f"{status:d}" for status in HTTPStatus)}


@dataclass
class Counts:
    """What has been counted."""

    messages: int = 0
    """Said in rooms, and in their logs."""
    deliveries: int = 0
    """Each message of a hub once for each member that it went to."""
    opened: int = 0
    """WebSockets and streams of events that were opened."""
    closed: int = 0
    """Those of them that are over."""
    evictions: Counter[str] = field(default_factory=Counter)
    """Slow peers, by the reason."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Who did not get what they had asked for, by the reason: a status of HTTP, or words as in the log."""
    fan_outs: list[int] = field(default_factory=lambda: [0] * (len(FAN_OUT_BOUNDS) + 1))
    """How long messages took from a hub to the last of its members: how many, for each bucket."""
    fan_out_seconds: float = 0.0
    """How long they took in all."""


class Load(NamedTuple):
    """What there is at this moment."""

    connections: Mapping[str, int]
    """How many, by their kind."""
    waiting_bytes: int
    """What slow peers have still to be sent."""


class Counters:
    """Counts. Every method may be called from any thread, with any lock held."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards the figures; taken last of all locks
        self._counts = Counts()

    def unlock(self) -> None:
        """In a forked child: let go of what one of its parent's threads may have locked."""
        self._guard = threading.Lock()

    def read(self) -> Counts:
        """The figures of this moment."""
        with self._guard:
            return copy.deepcopy(self._counts)

    def count_messages(self, messages: int) -> None:
        """So many messages were said."""
        with self._guard:
            self._counts.messages += messages

    def count_fan_out(self, deliveries: int, took: Iterable[float]) -> None:
        """A hub has sent a batch: how many deliveries it was, and how many seconds each of its messages took."""
        counts = self._counts
        with self._guard:
            counts.deliveries += deliveries
            for seconds in took:
                counts.fan_outs[bisect_left(FAN_OUT_BOUNDS, seconds)] += 1
                counts.fan_out_seconds += seconds

    def count_opened(self) -> None:
        """A WebSocket or a stream of events was opened."""
        with self._guard:
            self._counts.opened += 1

    def count_closed(self) -> None:
        """One of them is over."""
        with self._guard:
            self._counts.closed += 1

    def count_eviction(self, reason: Eviction) -> None:
        """A slow peer was evicted."""
        with self._guard:
            self._counts.evictions[reason] += 1

    def count_refusal(self, reason: str) -> None:
        """Somebody did not get what they had asked for."""
        with self._guard:
            self._counts.refusals[reason if reason in _REFUSALS else OTHER] += 1


counters = Counters()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    # What another thread had locked when a child was forked stays locked there.
    os.register_at_fork(after_in_child=counters.unlock)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Within how many seconds this share of what a histogram has was done; None if it has nothing.

    As exact as the buckets: within one, what took short and what took long is taken to be spread evenly.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    bucket = next(number for number, total in enumerate(accumulate(counts)) if total >= rank)
    if bucket == len(FAN_OUT_BOUNDS):
        return FAN_OUT_BOUNDS[-1]
    lower = FAN_OUT_BOUNDS[bucket - 1] if bucket else 0.0
    return lower + (FAN_OUT_BOUNDS[bucket] - lower) * (rank - sum(counts[:bucket])) / counts[bucket]
