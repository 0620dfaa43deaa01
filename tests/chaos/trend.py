"""The memory of a process over time: samples, and the rate at which it grows."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, linear_regression
from time import monotonic
from typing import NamedTuple

_WARM_UP = 1 / 2  # the share of the samples before the trend begins
_SECONDS_PER_ROW = 60.0


class Sample(NamedTuple):
    """The memory of a process at one moment, and what it has done until then."""

    seconds: float
    """The time since the first sample."""
    messages: int
    """The messages that were heard until then."""
    faults: int
    """The faults until then."""
    kilobytes: int
    """The resident memory that is not of files."""
    blocks: int
    """The blocks of memory that objects of Python have."""


class Amount(NamedTuple):
    """An amount of memory."""

    kilobytes: float
    """Kilobytes."""
    blocks: float
    """Blocks."""

    def __str__(self) -> str:
        return f"{self.kilobytes:.1f} KB and {self.blocks:.1f} blocks"


_NOISE = Amount(kilobytes=1024, blocks=2000)


class Growth(NamedTuple):
    """What is used more, on average, for one more fault, or for a thousand messages."""

    amount: Amount
    """The memory for one of them."""
    number: float
    """The number of them."""

    def is_within(self, most: Amount) -> bool:
        """Return True if no more was used than that, or no more in all than varies by chance.

        That is what the allocator keeps, and what is on its way at the moment.
        """
        return all(each <= limit or each * self.number <= noise for each, limit, noise in zip(self.amount, most, _NOISE, strict=True))


class Trend:
    """The growth in the second half of the samples. Raises ValueError if they are too few."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        steady = samples[int(len(samples) * _WARM_UP) :]
        if len(steady) < 3 or steady[0].messages == steady[-1].messages:
            raise ValueError(f"{len(samples)} samples are too few for a trend")
        self.per_thousand_messages = _growth([sample.messages / 1000 for sample in steady], steady)
        """For a thousand messages."""
        self.per_fault = _growth([float(sample.faults) for sample in steady], steady)
        """For one fault. A leak of either kind shows in both."""


def _growth(steps: Sequence[float], samples: Sequence[Sample]) -> Growth:
    number = steps[-1] - steps[0]
    if not number:
        return Growth(Amount(0, 0), 0)
    kilobytes = linear_regression(steps, [sample.kilobytes for sample in samples]).slope
    return Growth(Amount(kilobytes, linear_regression(steps, [sample.blocks for sample in samples]).slope), number)


def rows(samples: Sequence[Sample]) -> list[str]:
    """Return the averages of each minute, as lines of a table."""
    by_minute: dict[int, list[Sample]] = {}
    for sample in samples:
        by_minute.setdefault(int(sample.seconds // _SECONDS_PER_ROW), []).append(sample)
    return [f"{'minute':>6} {'messages':>9} {'faults':>6} {'MB':>7} {'blocks':>9}"] + [
        f"{minute + 1:>6} {some[-1].messages:>9,} {some[-1].faults:>6} {fmean(sample.kilobytes for sample in some) / 1024:>7.2f}"
        f" {fmean(sample.blocks for sample in some):>9,.0f}"
        for minute, some in by_minute.items()
    ]


class Sampler:
    """Takes samples of this process in a thread, and keeps them in a file."""

    def __init__(self, path: Path, messages: Callable[[], int], faults: Callable[[], int]) -> None:
        self._path = path
        self._messages = messages
        self._faults = faults
        self._is_over = threading.Event()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Take a sample every so many seconds while the block runs."""
        thread = threading.Thread(target=self._run, args=[seconds])
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def read(self) -> list[Sample]:
        """Return the samples."""
        fields = (line.split() for line in self._path.read_text().splitlines())
        return [Sample(float(seconds), *map(int, numbers)) for seconds, *numbers in fields]

    def _run(self, seconds: float) -> None:
        began_at = monotonic()
        with self._path.open("w", buffering=1) as file:
            while not self._is_over.wait(seconds):
                gc.collect()
                sample = Sample(monotonic() - began_at, self._messages(), self._faults(), resident_kilobytes(), sys.getallocatedblocks())
                file.write(" ".join(map(str, sample)) + "\n")


def resident_kilobytes() -> int:
    """Return the resident memory of this process that is not of files. For Linux."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
