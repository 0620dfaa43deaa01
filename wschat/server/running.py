"""How the command runs a server: with the whole process for itself, as a library must not."""

from __future__ import annotations

import contextlib
import gc

from wschat.connection.crew import join_crew, leave_crew
from wschat.server.placement import Placement, is_worthwhile
from wschat.server.server import WebSocketServer
from wschat.stdio import announce

# As many as a hundred new connections make. Nearly all of them stay, so that to look earlier is to look for nothing.
_NEW_OBJECTS_BETWEEN_COLLECTIONS = 10_000


def run(server: WebSocketServer, announcement: str, *, one_core: bool) -> None:
    """Serve until `server.request_shutdown` is called; the caller stops the server."""
    # The collector need not look at what the imports have made; it stays for good.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BETWEEN_COLLECTIONS)
    crew = join_crew()
    placement = None
    with contextlib.suppress(OSError):  # no descriptor left to look at the cores with
        placement = Placement(crew.deadlines) if one_core and is_worthwhile() else None
    if placement is not None:
        placement.start()
    try:
        announce(announcement)
        server.serve_forever()
    finally:
        if placement is not None:
            placement.stop()
        leave_crew(crew)
