"""Process-wide settings of `wschat serve`: garbage collector, switch interval, CPU affinity. A library must not change these."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable

from wschat.cli.cpu_affinity import CpuAffinity, is_worthwhile
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.server.server import WebSocketServer

# A hundred new connections make about as many. Nearly all of these live on, so an earlier collection would free nothing.
_NEW_OBJECTS_BETWEEN_COLLECTIONS = 10_000

_SWITCH_SECONDS = sys.getswitchinterval()
_SWITCH_SECONDS_PER_SQUARED_CONNECTION = 5e-9
_MAX_SWITCH_SECONDS = 1.0
_FINISH_SECONDS = 3.0
_CONNECTIONS_BETWEEN_CHANGES = 50  # counting the connections for each new one takes a twentieth of its opening


def switch_interval(connections: int) -> float:
    """Return the switch interval in seconds (see `sys.setswitchinterval`) for a process with this number of connections.

    A thread that waits for the GIL wakes up once an interval, and the more threads wait, the longer a wake-up takes. If 3,000
    clients send at the same moment, as after a restart, the default of 5 ms keeps the processor busy with wake-ups: no client was
    answered within a minute, but all within four seconds with 50 ms. With few connections the default stays, because a handler
    that computes delays the other connections by the interval.
    """
    return min(max(_SWITCH_SECONDS, _SWITCH_SECONDS_PER_SQUARED_CONNECTION * connections**2), _MAX_SWITCH_SECONDS)


class CommandServer(WebSocketServer):
    """A server in a process of its own."""

    _accepted = 0

    def service_actions(self) -> None:
        """Adapt the switch interval to the number of connections, before every fiftieth one is accepted."""
        if self._accepted % _CONNECTIONS_BETWEEN_CHANGES == 0:
            sys.setswitchinterval(switch_interval(len(self._connections)))
        self._accepted += 1

    def finish_openings(self) -> None:
        """Let the openings and requests in progress end, for three seconds at most. After `serve_forever`.

        For a server whose socket another one serves next: otherwise, a client that this one has accepted would be refused.
        """
        self._connections.wait_for_openings(_FINISH_SECONDS)


def run(server: WebSocketServer, announce: Callable[[], None], *, core: int | None) -> None:
    """Call `announce`, and serve until `server.request_shutdown` is called. The caller stops the server afterwards.

    All threads are kept on one core, at first on the one with this index from the last; on all cores for None.
    """
    # Objects made by imports are never freed, so the collector can skip them.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BETWEEN_COLLECTIONS)
    background = acquire_background_threads()
    affinity = None
    with contextlib.suppress(OSError):  # no descriptor is left to read the load of the cores
        affinity = CpuAffinity(background.timers, core=core) if core is not None and is_worthwhile() else None
    if affinity is not None:
        affinity.start()
    try:
        announce()
        server.serve_forever()
    finally:
        if affinity is not None:
            affinity.stop()
        release_background_threads(background)
