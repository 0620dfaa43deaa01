"""Where the command's threads run: all on one core, the one that nobody else wants.

Under the GIL only one thread runs Python at a time. Spread over cores, fifty threads that wake each other pass the GIL from
core to core, and half the time goes into that; on one core they take turns (one echo in flight on each of fifty connections:
twice the rate). SCHED_BATCH keeps a thread that wakes up from interrupting the one that holds the GIL, only to wait for it.

This is for a program of our own. A library has no business to do such a thing in somebody else's.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time

from wschat.connection.timers import Timer, Timers

_SECONDS_BETWEEN_LOOKS = 1.0
# A core is given up when others take this share of it and a better one is there, twice in a row.
_MUCH = 0.35
_BETTER_BY = 0.15
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # of /proc/stat: user, nice, system, irq, softirq


def is_worthwhile() -> bool:
    """Whether this is a system and an interpreter that gain by one core for all threads."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return has_gil and hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1 and Path("/proc/stat").exists()


class CpuAffinity:
    """Keeps the threads of this process on one core, and moves them when others use it. For Linux."""

    def __init__(self, timers: Timers, busy_seconds: Callable[[], dict[int, float]] | None = None) -> None:
        self._timers = timers
        self._busy_seconds = busy_seconds or _busy_seconds
        self._allowed = sorted(os.sched_getaffinity(0))
        self._next_look: Timer | None = None
        self._is_stopped = False
        self._bad_looks = 0
        self._remember()
        self.core = self._allowed[-1]

    def start(self) -> None:
        """Move to one core, and look after it from the timers' thread until `stop`."""
        self._move({self.core})
        self._next_look = self._timers.call_later(_SECONDS_BETWEEN_LOOKS, self._look)

    def stop(self) -> None:
        """Run wherever the system likes again."""
        self._is_stopped = True
        if self._next_look is not None:
            self._next_look.cancel()
        self._move(set(self._allowed))

    def _look(self) -> None:
        if self._is_stopped:
            return
        with contextlib.suppress(OSError):  # no descriptor left to look with: the next look may be luckier
            core = self.better_core()
            self._bad_looks = self._bad_looks + 1 if core != self.core else 0
            if self._bad_looks > 1:
                self.core = core
                self._bad_looks = 0
                self._move({core})
        self._next_look = self._timers.call_later(_SECONDS_BETWEEN_LOOKS, self._look)

    def better_core(self) -> int:
        """The core to be on, by what each has done since the last look."""
        before, own_before, at_before = self._busy, self._own, self._at
        self._remember()
        elapsed = max(self._at - at_before, 0.001)
        others = {core: (self._busy.get(core, 0.0) - before.get(core, 0.0)) / elapsed for core in self._allowed}
        others[self.core] -= (self._own - own_before) / elapsed
        best = min(self._allowed, key=lambda core: others[core])
        if others[self.core] > _MUCH and others[self.core] - others[best] > _BETTER_BY:
            return best
        return self.core

    def _remember(self) -> None:
        self._busy, self._own, self._at = self._busy_seconds(), process_time(), monotonic()

    def _move(self, cores: set[int]) -> None:
        # A thread takes over the affinity of the one that starts it: the second round is for those started during the first.
        for _ in range(2):
            for thread in os.listdir("/proc/self/task"):
                try:
                    os.sched_setaffinity(int(thread), cores)
                    os.sched_setscheduler(int(thread), os.SCHED_BATCH, os.sched_param(0))
                except OSError:
                    pass  # it has ended, or the system does not want it


def _busy_seconds() -> dict[int, float]:
    """How long each core has been busy, in all, by whatever."""
    ticks = os.sysconf("SC_CLK_TCK")
    busy = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            busy[int(name[3:])] = sum(int(fields[i]) for i in _BUSY_FIELDS) / ticks
    return busy
