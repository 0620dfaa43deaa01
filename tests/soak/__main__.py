"""Run the soak: `python -m tests.soak MINUTES`. Call it with `scripts/soak`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from tests.soak.footprint import Footprint
from tests.soak.population import OTHERS, World, lurk, talk
from tests.tls import client_context, make_certificate

_TALKERS = 10
_LURKERS = 20
_SECONDS_TO_SETTLE = 20.0
# How much the server may have grown at the end: its allocator keeps some memory of many connections.
_MEGABYTES_OF_GROWTH = 30
# Four connections to the history with two files each. They are opened when four threads read at once, and kept.
_DESCRIPTORS_OF_READERS = 8


def main() -> int:
    """Run the load for some minutes. Return 0 if nothing was wrong."""
    seconds = float(sys.argv[1]) * 60
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder) / "tls")
        log = Path(folder) / "log"
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [sys.executable, "-m", "tests.soak.server", str(certificate), f"{folder}/history"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as server,
        ):
            assert server.stdin is not None
            assert server.stdout is not None
            plain_port, tls_port = map(int, server.stdout.readline().split())
            # Run it for a few seconds first, so that everything that is allocated once is part of the first measurement.
            live(World(plain_port, tls_port, client_context(certificate)), 5)
            before = settled(server.pid, None)
            world = World(plain_port, tls_port, client_context(certificate))
            live(world, seconds)
            after = settled(server.pid, before)
            server.stdin.close()
            code = server.wait(_SECONDS_TO_SETTLE)
        lines = log.read_text().splitlines()
    evicted = [line for line in lines if " evicted after " in line]
    unexpected = [line for line in lines if line not in evicted]
    world.count("slow readers evicted", len(evicted))
    print(*unexpected, sep="\n", end="\n" if unexpected else "")
    for what, number in sorted(world.counts.items()):
        print(f"{number:>10,} {what}")
    print(f"before: {before}\nafter:  {after}\nthe server's exit code: {code}")
    heard, said = world.counts["messages heard by lurkers"], world.counts["messages said"]
    is_well = (
        code == 0
        and said > 0
        and heard == said * _LURKERS
        and len(evicted) > 0
        and not unexpected
        and after.threads <= before.threads
        and after.descriptors <= before.descriptors + _DESCRIPTORS_OF_READERS
        and after.megabytes <= before.megabytes + _MEGABYTES_OF_GROWTH
    )
    print("all is well" if is_well else "SOMETHING IS WRONG")
    return 0 if is_well else 1


def live(world: World, seconds: float) -> None:
    """Run all clients for this many seconds. Raises the first error of a client."""
    with ThreadPoolExecutor(_TALKERS + _LURKERS + sum(OTHERS.values())) as pool:
        people: list[Future[None]] = [pool.submit(lurk, world, bool(number % 2), _TALKERS) for number in range(_LURKERS)]
        while world.counts["lurkers"] < _LURKERS and not any(one.done() for one in people):
            threading.Event().wait(0.05)
        for other, count in OTHERS.items():
            people += [pool.submit(other, world, bool(number % 2), number) for number in range(count)]
        people += [pool.submit(talk, world, bool(number % 2), number) for number in range(_TALKERS)]
        ends_at = monotonic() + seconds
        while monotonic() < ends_at and not any(one.done() for one in people):
            threading.Event().wait(0.2)
        world.is_over.set()
        for one in people:
            one.result()


def settled(pid: int, wanted: Footprint | None) -> Footprint:
    """Return the footprint of the server without clients, after waiting until it has fallen to `wanted` or time has run out."""
    ends_at = monotonic() + (_SECONDS_TO_SETTLE if wanted else 2)
    while True:
        now = Footprint.of(pid)
        if monotonic() > ends_at or (wanted and now.threads <= wanted.threads and now.descriptors <= wanted.descriptors):
            return now
        threading.Event().wait(0.2)


sys.exit(main())
