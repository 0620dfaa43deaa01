"""Run the chaos test: `python -m tests.chaos MINUTES SEED`. Call it with `scripts/chaos`."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from tests.chaos.run import Outcome, run
from tests.chaos.server import Plan, Server, pause
from tests.chaos.trend import Amount, Trend, rows

_PING_SECONDS = 10.0
_LONGEST_FAULT = 40.0
_SAY_TIMEOUT = 15.0
# Less than one object for each message or connection.
_MOST_PER_THOUSAND_MESSAGES = Amount(kilobytes=50, blocks=100)
_MOST_PER_FAULT = Amount(kilobytes=100, blocks=300)
_MOST_DIFFERENCES = 15
_FRAMES = 6


def main() -> int:
    """Run for some minutes. Return 0 if no error was found."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.root.handlers[0].addFilter(lambda record: not record.msg.startswith("no connection"))
    seconds, counts = arguments.minutes * 60, Counter[str]()

    def faults(server: Server) -> Iterator[None]:
        plan, began_at = Plan(arguments.seed, _PING_SECONDS, _LONGEST_FAULT), monotonic()
        while monotonic() < began_at + seconds:
            if monotonic() > began_at + seconds / 2:
                allocations.begin()
            name, fault, seconds_without_faults = plan.next()
            counts[name] += 1
            print(f"{monotonic() - began_at:6.0f} s  {name}", flush=True)
            fault(server)
            pause(seconds_without_faults)
            yield
        allocations.end()

    with tempfile.TemporaryDirectory() as folder:
        allocations = Allocations(Path(folder), is_on=arguments.tracemalloc)
        outcome = run(faults, ping_seconds=_PING_SECONDS, timeout=_SAY_TIMEOUT)
        for line in allocations.differences():
            print(line)
    print(f"seed {arguments.seed}, faults: {dict(counts)}")
    is_passed = report(outcome)
    print("passed" if is_passed else "FAILED")
    return 0 if is_passed else 1


class Allocations:
    """Where memory was allocated at two moments. The snapshots are kept in files, because they are large themselves."""

    def __init__(self, folder: Path, *, is_on: bool) -> None:
        self._is_on = is_on
        self._files = folder / "begin", folder / "end"
        if is_on:
            tracemalloc.start(_FRAMES)

    def begin(self) -> None:
        """Take the first snapshot, unless there is one."""
        if self._is_on and not self._files[0].exists():
            tracemalloc.take_snapshot().dump(str(self._files[0]))

    def end(self) -> None:
        """Take the second one."""
        if self._is_on:
            tracemalloc.take_snapshot().dump(str(self._files[1]))
            tracemalloc.stop()

    def differences(self) -> list[str]:
        """Return the largest differences, as lines."""
        if not all(file.exists() for file in self._files):
            return []
        begin, end = (tracemalloc.Snapshot.load(str(file)) for file in self._files)
        found = end.compare_to(begin, "traceback")[:_MOST_DIFFERENCES]
        return [line for each in found for line in (str(each), *each.traceback.format()[1::2])]


def report(outcome: Outcome) -> bool:
    """Print what was found. Return True if it is what it should be."""
    for what, number in outcome.figures.items():
        print(f"{number:>10,} {what}")
    print(*rows(outcome.samples), sep="\n")
    trend = Trend(outcome.samples)
    growths = [
        ("1,000 messages", trend.per_thousand_messages, _MOST_PER_THOUSAND_MESSAGES),
        ("fault", trend.per_fault, _MOST_PER_FAULT),
    ]
    for unit, growth, most in growths:
        print(f"growth in the second half for each {unit}: {growth.amount}; at most {most}")
    print(f"before: {outcome.before}\nafter:  {outcome.after}", *outcome.errors, sep="\n")
    return (
        not outcome.errors
        and outcome.figures["said"] > 0
        and outcome.after.threads <= outcome.before.threads
        and outcome.after.descriptors <= outcome.before.descriptors
        and all(growth.is_within(most) for _, growth, most in growths)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("minutes", type=float, nargs="?", default=10.0)
    parser.add_argument("seed", type=int, nargs="?", default=random.randrange(100_000))
    parser.add_argument("--tracemalloc", action="store_true", help="print where the memory comes from that was used more in the end")
    return parser


sys.exit(main())
