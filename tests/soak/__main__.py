"""Run the soak: `python -m tests.soak MINUTES`. Call it with `scripts/soak`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from tests.soak.clients import OTHER_CLIENTS, Soak, listen, talk
from tests.soak.footprint import Footprint
from tests.tls import client_context, make_certificate

_TALKERS = 10
_LISTENERS = 20
_SECONDS_TO_SETTLE = 20.0
# How much the server may have grown at the end: the allocator keeps some memory after many connections.
_MEGABYTES_OF_GROWTH = 30
# Four connections to the history with two files each, which are kept open after four threads have read at once.
_DESCRIPTORS_OF_READERS = 8


def main() -> int:
    """Run the soak. Return 0 if it found no error."""
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
            # Run it for a few seconds first, so that the first measurement includes everything that is allocated once.
            run_clients(Soak(plain_port, tls_port, client_context(certificate)), 5)
            before = settled(server.pid, None)
            soak = Soak(plain_port, tls_port, client_context(certificate))
            run_clients(soak, seconds)
            after = settled(server.pid, before)
            server.stdin.close()
            code = server.wait(_SECONDS_TO_SETTLE)
        lines = log.read_text().splitlines()
    evicted = [line for line in lines if " evicted after " in line]
    unexpected = [line for line in lines if line not in evicted]
    soak.count("slow readers evicted", len(evicted))
    print(*unexpected, sep="\n", end="\n" if unexpected else "")
    for what, number in sorted(soak.counts.items()):
        print(f"{number:>10,} {what}")
    print(f"before: {before}\nafter:  {after}\nthe server's exit code: {code}")
    received, sent = soak.counts["messages received by listeners"], soak.counts["messages sent"]
    is_passed = (
        code == 0
        and sent > 0
        and received == sent * _LISTENERS
        and len(evicted) > 0
        and not unexpected
        and after.threads <= before.threads
        and after.descriptors <= before.descriptors + _DESCRIPTORS_OF_READERS
        and after.megabytes <= before.megabytes + _MEGABYTES_OF_GROWTH
    )
    print("passed" if is_passed else "FAILED")
    return 0 if is_passed else 1


def run_clients(soak: Soak, seconds: float) -> None:
    """Run all clients for this many seconds. Raise the first error of a client."""
    with ThreadPoolExecutor(_TALKERS + _LISTENERS + sum(OTHER_CLIENTS.values())) as pool:
        clients: list[Future[None]] = [pool.submit(listen, soak, bool(number % 2), _TALKERS) for number in range(_LISTENERS)]
        while soak.counts["listeners"] < _LISTENERS and not any(client.done() for client in clients):
            threading.Event().wait(0.05)
        for run_client, count in OTHER_CLIENTS.items():
            clients += [pool.submit(run_client, soak, bool(number % 2), number) for number in range(count)]
        clients += [pool.submit(talk, soak, bool(number % 2), number) for number in range(_TALKERS)]
        ends_at = monotonic() + seconds
        while monotonic() < ends_at and not any(client.done() for client in clients):
            threading.Event().wait(0.2)
        soak.is_over.set()
        for client in clients:
            client.result()


def settled(pid: int, wanted: Footprint | None) -> Footprint:
    """Return the footprint of the server without clients, after waiting until it has fallen to `wanted` or time has run out."""
    ends_at = monotonic() + (_SECONDS_TO_SETTLE if wanted else 2)
    while True:
        now = Footprint.of(pid)
        if monotonic() > ends_at or (wanted and now.threads <= wanted.threads and now.descriptors <= wanted.descriptors):
            return now
        threading.Event().wait(0.2)


sys.exit(main())
