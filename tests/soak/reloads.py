"""Start and stop a server in one process many times, as a program that reloads its own: nothing may be left over of any of them.

    python -m tests.soak.reloads ROUNDS

Call it with `scripts/soak reloads`.
"""

from __future__ import annotations

import gc
import os
import sys
import urllib.parse
import urllib.request
from contextlib import ExitStack
from time import perf_counter
from typing import NamedTuple

import wschat
from tests.bench.wsgi import BODY, hello
from tests.concurrency import TIMEOUT, eventually
from tests.soak.footprint import Footprint

CLIENTS = 20
_ROUNDS_BEFORE = 5  # until all that is made once, such as caches, has been made
# The allocator keeps some memory. A server with its 20 connections has more than this in 50 rounds.
_MEGABYTES_OF_GROWTH = 10


class Leftovers(NamedTuple):
    """What a process has."""

    threads: int
    descriptors: int
    objects: int
    """Objects that the garbage collector knows."""
    megabytes: float

    @classmethod
    def now(cls) -> Leftovers:
        urllib.parse.clear_cache()  # type: ignore[attr-defined]  # of the URL of each server; missing in the stubs
        gc.collect()
        footprint = Footprint.of(os.getpid())
        return cls(footprint.threads, footprint.descriptors, len(gc.get_objects()), footprint.megabytes)


def main(rounds: int) -> int:
    """Run the rounds. Return 0 if nothing was left over."""
    reload_server(_ROUNDS_BEFORE)
    before = Leftovers.now()
    began_at = perf_counter()
    reload_server(rounds)
    took = perf_counter() - began_at
    eventually(lambda: Leftovers.now().threads <= before.threads)  # a thread counts for a moment after it has been joined
    after = Leftovers.now()
    print(f"before: {before}\nafter:  {after}\n{rounds} servers with {CLIENTS} clients each in {took:.1f} s")
    is_passed = (
        after.threads == before.threads
        and after.descriptors == before.descriptors
        and after.objects < before.objects + rounds
        and after.megabytes < before.megabytes + _MEGABYTES_OF_GROWTH
    )
    print("passed" if is_passed else "FAILED")
    return 0 if is_passed else 1


def reload_server(rounds: int) -> None:
    """Start a server, use it with 20 clients, and stop it, `rounds` times."""
    for number_of_round in range(rounds):
        hub = wschat.Hub()

        def talk(ws: wschat.Connection, hub: wschat.Hub = hub) -> None:
            hub.join(ws)
            try:
                for message in ws:
                    ws.send(message)
            finally:
                hub.leave(ws)

        with wschat.serve(talk, port=0, wsgi=hello) as server, ExitStack() as clients:
            server.start()
            opened = [clients.enter_context(wschat.connect(f"ws://127.0.0.1:{server.port}/")) for _ in range(CLIENTS)]
            for number, ws in enumerate(opened):
                ws.send(str(number))
                assert ws.recv(TIMEOUT) == str(number)
            hub.broadcast("to all")
            assert all(ws.recv(TIMEOUT) == "to all" for ws in opened)
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=TIMEOUT) as response:
                assert response.read() == BODY
            if number_of_round % 2:
                server.stop(drain=0)  # first, so that the clients find the end


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
