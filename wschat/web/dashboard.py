"""The dashboard's data: a sample every two seconds, for the last five minutes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from operator import sub
from time import monotonic, time

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.counters import Counts, Load, by_label, counters, quantile
from wschat.web.process import Process, read_process

SECONDS = 2.0
"""The interval between two samples."""
KEPT = 150
"""The number of samples that are kept."""

Sample = dict[str, object]


class Samples:
    """The last samples of this process. Thread-safe. `read_load` returns the open connections of a server."""

    def __init__(self, read_load: Callable[[], Load]) -> None:
        self._read_load = read_load
        self._last = _Reading()
        self._guard = threading.Lock()  # guards _samples, _next, _is_closed and _timer; the timers' lock is taken inside it
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        # There are fewer samples than seconds, so a restarted server has larger numbers than before.
        self._next = int(time())
        self._is_closed = False
        self._background = acquire_background_threads()
        self._timer = self._background.timers.call_later(SECONDS, self._add_sample)

    def since(self, number: int) -> dict[str, object]:
        """Return the samples from this number on, or all if it is unknown, and the number of the next one."""
        with self._guard:
            oldest = self._next - len(self._samples)
            known = number - oldest if oldest <= number <= self._next else 0
            return {"next": self._next, "seconds": SECONDS, "kept": KEPT, "samples": list(islice(self._samples, known, None))}

    def close(self) -> None:
        """Take no more samples. May be called again."""
        with self._guard:
            if self._is_closed:
                return
            self._is_closed = True
            self._timer.cancel()
        release_background_threads(self._background)

    def _add_sample(self) -> None:
        """Add a sample, and schedule the next. Runs in the timers' thread."""
        try:
            before, self._last = self._last, _Reading()
            sample = _sample(before, self._last, self._read_load())
            with self._guard:
                if not self._is_closed:
                    self._samples.append(sample)
                    self._next += 1
        finally:
            with self._guard:
                if not self._is_closed:
                    self._timer = self._background.timers.call_later(SECONDS, self._add_sample)


class _Reading:
    """The counters and the process at one time."""

    def __init__(self) -> None:
        self.at = monotonic()
        self.counts: Counts = counters.read()
        self.process: Process = read_process()


def _sample(before: _Reading, after: _Reading, load: Load) -> Sample:
    """Return a sample: the differences of the counters, and the state at the end."""
    seconds = after.at - before.at
    old, new = before.counts, after.counts
    fan_outs = list(map(sub, new.fan_outs, old.fan_outs))
    return {
        "time": round(time(), 3),
        "connections": load.connections,
        "messages": round((new.messages - old.messages) / seconds, 1),
        "deliveries": round((new.deliveries - old.deliveries) / seconds, 1),
        "fan_out_p50": quantile(fan_outs, 0.5),
        "fan_out_p99": quantile(fan_outs, 0.99),
        "outbox_bytes": load.waiting_bytes,
        "evictions": by_label(new.evictions - old.evictions),
        "refusals": by_label(new.refusals - old.refusals),
        "threads": after.process.threads,
        "descriptors": after.process.descriptors,
        "memory_bytes": after.process.memory_bytes,
        "cpu": round((after.process.cpu_seconds - before.process.cpu_seconds) / seconds, 3),
    }
