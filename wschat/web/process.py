"""What this process uses: threads, memory, file descriptors and CPU time, from the operating system."""

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
# The unit of ru_maxrss, which is used without /proc.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Process(NamedTuple):
    """What a process uses. None is unknown."""

    threads: int | None
    memory_bytes: int | None
    descriptors: int | None
    cpu_seconds: float


def read_process() -> Process:
    """Return what this process uses. Without /proc, `threads` counts Python's threads and `memory_bytes` is the peak."""
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
        pass  # no file descriptor is free
    return Process(threads, memory, _descriptors(), times.user + times.system)


def _descriptors() -> int | None:
    """Return the number of open file descriptors. Since Linux 6.2 it is the size of a directory."""
    with contextlib.suppress(OSError):
        return os.stat(_PROC / "fd").st_size or None
    return None
