"""CPU affinity of the command: all threads on one core, the one that other processes use least.

Under the GIL, one thread at a time runs Python. On several cores, fifty threads that wake each other pass the GIL from core to
core, which takes half of the time; on one core they take turns (an echo in flight on each of fifty connections: twice the rate).
SCHED_BATCH keeps a thread that wakes up from preempting the one that holds the GIL.

Only the command does this: a library must not change the affinity of the program that uses it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time

from wschat.connection.timers import Timer, Timers

_CHECK_INTERVAL = 1.0
# A core is left if, in two checks in a row, other processes use more than this share of it and another core has less use by this.
_MAX_USE_BY_OTHERS = 0.35
_MIN_GAIN = 0.15
_CHECKS_BEFORE_MOVE = 2
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # of /proc/stat: user, nice, system, irq, softirq


def is_worthwhile() -> bool:
    """Return True if the system and the interpreter gain by running all threads on one core."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return has_gil and hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1 and Path("/proc/stat").exists()


class CpuAffinity:
    """Keeps the threads of this process on one core, and moves them when other processes use it. For Linux."""

    def __init__(self, timers: Timers, read_busy_seconds: Callable[[], dict[int, float]] | None = None, *, core: int = 0) -> None:
        """`read_busy_seconds` returns the seconds that each core has been busy since the system started.

        `core` is the core to begin with, counted from the last of the allowed ones.
        """
        self._timers = timers
        self._read_busy_seconds = read_busy_seconds or _read_busy_seconds
        self._allowed = sorted(os.sched_getaffinity(0))
        self._timer: Timer | None = None
        self._is_stopped = False
        self._checks_in_favour = 0  # of another core, in a row
        self._measure()
        self.core = self._allowed[-1 - core % len(self._allowed)]
        """The core that the threads run on."""

    def start(self) -> None:
        """Move to one core, and check it every second in the timers' thread until `stop`."""
        self._set_affinity({self.core})
        self._timer = self._timers.call_later(_CHECK_INTERVAL, self._check)

    def stop(self) -> None:
        """Allow all cores again that were allowed before."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._set_affinity(set(self._allowed))

    def _check(self) -> None:
        if self._is_stopped:
            return
        with contextlib.suppress(OSError):  # no descriptor is left to read /proc; the next check tries again
            core = self.choose_core()
            self._checks_in_favour = self._checks_in_favour + 1 if core != self.core else 0
            if self._checks_in_favour >= _CHECKS_BEFORE_MOVE:
                self.core = core
                self._checks_in_favour = 0
                self._set_affinity({core})
        self._timer = self._timers.call_later(_CHECK_INTERVAL, self._check)

    def choose_core(self) -> int:
        """Return the core to run on, by the use of all cores since the last call."""
        busy_before, own_before, measured_before = self._busy, self._own, self._measured_at
        self._measure()
        elapsed = max(self._measured_at - measured_before, 0.001)
        others = {core: (self._busy.get(core, 0.0) - busy_before.get(core, 0.0)) / elapsed for core in self._allowed}
        others[self.core] -= (self._own - own_before) / elapsed
        best = min(self._allowed, key=lambda core: others[core])
        if others[self.core] > _MAX_USE_BY_OTHERS and others[self.core] - others[best] > _MIN_GAIN:
            return best
        return self.core

    def _measure(self) -> None:
        self._busy, self._own, self._measured_at = self._read_busy_seconds(), process_time(), monotonic()

    def _set_affinity(self, cores: set[int]) -> None:
        # A new thread inherits the affinity of its parent: the second round is for threads started during the first.
        for _ in range(2):
            for thread in os.listdir("/proc/self/task"):
                try:
                    os.sched_setaffinity(int(thread), cores)
                    os.sched_setscheduler(int(thread), os.SCHED_BATCH, os.sched_param(0))
                except OSError:
                    pass  # the thread has ended, or the system does not permit it


def _read_busy_seconds() -> dict[int, float]:
    """Return the seconds that each core has been busy since the system started."""
    ticks = os.sysconf("SC_CLK_TCK")
    busy = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            busy[int(name[3:])] = sum(int(fields[i]) for i in _BUSY_FIELDS) / ticks
    return busy
