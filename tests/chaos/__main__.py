"""Run the chaos test: `python -m tests.chaos MINUTES SEED`. Call it with `scripts/chaos`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from time import monotonic

from tests.chaos.run import run
from tests.chaos.server import Plan, Server, pause

_PING_SECONDS = 10.0
_LONGEST_FAULT = 40.0
_SAY_TIMEOUT = 15.0
_MEGABYTES_OF_GROWTH = 30


def main() -> int:
    """Run for some minutes. Return 0 if no error was found."""
    seconds, seed = float(sys.argv[1]) * 60, int(sys.argv[2])
    counts: Counter[str] = Counter()

    def faults(server: Server) -> Iterator[None]:
        plan, ends_at = Plan(seed, _PING_SECONDS, _LONGEST_FAULT), monotonic() + seconds
        while monotonic() < ends_at:
            name, fault, seconds_without_faults = plan.next()
            counts[name] += 1
            print(f"{seconds - ends_at + monotonic():6.0f} s  {name}", flush=True)
            fault(server)
            pause(seconds_without_faults)
            yield

    outcome = run(faults, ping_seconds=_PING_SECONDS, timeout=_SAY_TIMEOUT)
    print(f"seed {seed}, faults: {dict(counts)}")
    for what, number in outcome.figures.items():
        print(f"{number:>10,} {what}")
    print(f"before: {outcome.before}\nafter:  {outcome.after}", *outcome.errors, sep="\n")
    is_passed = (
        not outcome.errors
        and outcome.figures["sent"] > 0
        and outcome.after.threads <= outcome.before.threads
        and outcome.after.descriptors <= outcome.before.descriptors
        and outcome.after.megabytes <= outcome.before.megabytes + _MEGABYTES_OF_GROWTH
    )
    print("passed" if is_passed else "FAILED")
    return 0 if is_passed else 1


sys.exit(main())
