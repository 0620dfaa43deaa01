"""A handler's run with a WebSocket inside another server."""

from __future__ import annotations

import logging
from collections.abc import Callable

from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed
from wschat.server.handlers import check_has_run
from wschat.server.logs import name_of
from wschat.wsgi.servers import WsgiEnviron

logger = logging.getLogger("wschat.wsgi")

# Werkzeug's debugger logs a traceback when it has sent a page with it, which fails here.
_DEBUGGER = "werkzeug.debug.preserve_context"


def run_handler(handler: Callable[[Connection], object], ws: Connection, environ: WsgiEnviron) -> None:
    """Call a handler, and close the WebSocket: with 1011 if it raises an exception, else with 1000.

    Raises the exception, which the server or the framework logs, unless it is ConnectionClosed.
    """
    try:
        with ws:
            check_has_run(handler(ws), "a handler")
    except ConnectionClosed:
        pass
    except Exception:
        if _DEBUGGER in environ:
            logger.exception("the handler of %s failed [%s]", name_of(ws.remote_address), ws.id)
        raise
