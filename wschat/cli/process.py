"""How the command runs a server: with the whole process for itself, as a library must not."""

from __future__ import annotations

import contextlib
import gc
import sys

from wschat.cli.cpu_affinity import CpuAffinity, is_worthwhile
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.server.server import WebSocketServer
from wschat.stdio import announce

# As many as a hundred new connections make. Nearly all of them stay, so that to look earlier is to look for nothing.
_NEW_OBJECTS_BETWEEN_COLLECTIONS = 10_000

_SWITCH_SECONDS = sys.getswitchinterval()
_SWITCH_SECONDS_A_SQUARED_CONNECTION = 5e-9
_MOST_SWITCH_SECONDS = 1.0


def switch_interval(connections: int) -> float:
    """Return the seconds after which a thread that waits for the GIL asks for it, for a process with so many connections.

    Each thread that waits wakes up as often as that, and to wake up takes longer the more threads wait. With the default of 5 ms,
    3,000 clients who all send at the same moment, as after a restart, keep the processor busy with nothing but waking up: none was
    answered within a minute, while with 50 ms all were within four seconds. Few connections keep the default, because a handler
    that computes makes the others wait for this long.
    """
    return min(max(_SWITCH_SECONDS, _SWITCH_SECONDS_A_SQUARED_CONNECTION * connections**2), _MOST_SWITCH_SECONDS)


class CommandServer(WebSocketServer):
    """The server of a process that does nothing else."""

    def service_actions(self) -> None:
        """Adapt the switch interval to the number of connections, before the next one is accepted."""
        sys.setswitchinterval(switch_interval(len(self._connections)))


def run(server: WebSocketServer, announcement: str, *, one_core: bool) -> None:
    """Serve until `server.request_shutdown` is called; the caller stops the server."""
    # The collector need not look at what the imports have made; it stays for good.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BETWEEN_COLLECTIONS)
    background = acquire_background_threads()
    affinity = None
    with contextlib.suppress(OSError):  # no descriptor left to look at the cores with
        affinity = CpuAffinity(background.timers) if one_core and is_worthwhile() else None
    if affinity is not None:
        affinity.start()
    try:
        announce(announcement)
        server.serve_forever()
    finally:
        if affinity is not None:
            affinity.stop()
        release_background_threads(background)
