"""The sockets of WSGI servers. PEP 3333 has none, so each server that hands one out has a key of its own for it."""

from __future__ import annotations

import socket
from typing import Any

from wschat.errors import UsageError

WsgiEnviron = dict[str, Any]
"""The environ of PEP 3333."""

GUNICORN_SOCKET = "gunicorn.socket"
"""The key of gunicorn's socket."""
_SOCKETS = ("werkzeug.socket", GUNICORN_SOCKET)
# Servers that name themselves elsewhere than in SERVER_SOFTWARE.
_NAMES = {"uwsgi.version": "uWSGI", "mod_wsgi.version": "mod_wsgi"}
_GREEN = ("gevent", "eventlet")
_SUITABLE = "wschat.serve(handler, wsgi=app), Werkzeug with threaded=True, or gunicorn with --worker-class gthread --threads N"


def socket_of(environ: WsgiEnviron) -> socket.socket:
    """Return the socket of a request. Raises UsageError if the server hands out none, or cannot leave it to a thread."""
    sock = next((environ[key] for key in _SOCKETS if key in environ), None)
    name = _server_name(environ)
    if sock is None:
        raise UsageError(f"{name} hands no socket to an application, and a WebSocket needs one: use {_SUITABLE}")
    library = type(sock).__module__.partition(".")[0]
    if library in _GREEN:
        raise UsageError(f"{name} runs with {library}, and wschat needs threads: use {_SUITABLE}")
    if not environ.get("wsgi.multithread"):
        raise UsageError(f"{name} serves one request at a time here, and would serve no other while a WebSocket is open: use {_SUITABLE}")
    assert isinstance(sock, socket.socket)
    return sock


def _server_name(environ: WsgiEnviron) -> str:
    found = [name for key, name in _NAMES.items() if key in environ]
    return found[0] if found else str(environ.get("SERVER_SOFTWARE") or "this server")
