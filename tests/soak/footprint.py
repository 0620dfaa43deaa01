"""The threads, descriptors and memory of a process. For Linux."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Footprint(NamedTuple):
    """The resources of a process at one moment."""

    threads: int
    descriptors: int
    megabytes: float

    @classmethod
    def of(cls, pid: int) -> Footprint:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return cls(int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")), int(status["VmRSS"].split()[0]) / 1024)
