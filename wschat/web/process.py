"""The process: its threads, memory, descriptors and time, as the operating system has them."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from pathlib import Path
from typing import NamedTuple

try:
    import resource
except ImportError:  # as on Windows
    resource = None  # type: ignore[assignment]

_PROC = Path("/proc/self")
_FIELDS = re.compile(r"^(Threads|VmRSS):\s*(\d+)", re.MULTILINE)
# What the system counts the largest memory in, where it has no /proc.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Process(NamedTuple):
    """What a process uses; None for what cannot be found out just now."""

    threads: int | None
    memory_bytes: int | None
    descriptors: int | None
    cpu_seconds: float


def read_process() -> Process:
    """What this process uses. Where there is no /proc, the threads are those of Python, and the memory is the most that there was."""
    times = os.times()
    threads: int | None = None
    memory: int | None = None
    try:
        fields = dict(_FIELDS.findall((_PROC / "status").read_text()))
        threads, memory = int(fields["Threads"]), int(fields["VmRSS"]) * 1024
    except FileNotFoundError:
        threads = threading.active_count()
        if resource is not None:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    except OSError:
        pass  # no descriptor is left to read it with
    return Process(threads, memory, _descriptors(), times.user + times.system)


def _descriptors() -> int | None:
    """Those that are open: since Linux 6.2 this is the size of a directory, which need not be read for it."""
    with contextlib.suppress(OSError):
        return os.stat(_PROC / "fd").st_size or None
    return None
