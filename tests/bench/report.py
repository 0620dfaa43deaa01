"""The result of a benchmark: figures, their requirements, and problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

# A rate measured from the first to the last message is a little too low if the last one was slower than the first.
_TOLERANCE = 0.01


@dataclass
class Report:
    """A table, and the problems. A benchmark with a problem has failed."""

    title: str
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: str, *, required: str = "", is_met: bool = True) -> None:
        """Add a row. Mark a requirement that is not met."""
        self._rows.append((what, measured, required if is_met else f"{required}  MISSED"))

    def add_rate(self, what: str, per_second: float, required: int) -> None:
        """Add a row for a rate with a required minimum."""
        self.add(what, f"{per_second:,.0f} /s", required=f"{required:,} /s", is_met=per_second >= required * (1 - _TOLERANCE))

    def add_times(self, what: str, seconds: Sequence[float], required: float) -> None:
        """Add a row for a duration: median, 99th percentile and maximum. The 99th percentile must be below a limit."""
        if not seconds:
            self.add(what, "never happened", required=f"p99 < {1000 * required:.0f} ms", is_met=False)
            return
        ordered = sorted(seconds)
        counts = (percentile(ordered, 50), percentile(ordered, 99), ordered[-1])
        measured = "p50 {:.1f}  p99 {:.1f}  max {:.1f} ms".format(*(1000 * figure for figure in counts))
        self.add(what, measured, required=f"p99 < {1000 * required:.0f} ms", is_met=counts[1] < required)

    def show(self) -> bool:
        """Print everything. Return True if there is no problem."""
        click.echo(f"\n{self.title}")
        for what, measured, required in [("", "measured", "required"), *self._rows]:
            click.echo(f"  {what:<36} {measured:>40}   {required}".rstrip())
        for remark in self.remarks:
            click.echo(f"  note: {remark}")
        for problem in self.problems:
            click.echo(f"  WRONG: {problem}")
        return not self.problems


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the sorted values that this percentage of them does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
