"""Log entries about connections, as text or as JSON. Messages, queries and tokens are never logged.

Texts from a peer are logged with all characters escaped that could move a terminal's cursor or begin another line.
"""

from __future__ import annotations

import logging
from typing import Any

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.server.requests import Request

logger = logging.getLogger("wschat.server")


def shown(text: object) -> str:
    """Return a text from a peer with unprintable characters escaped."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(text))


def name_of(client_address: Any) -> str:
    """Return an address of `socketserver` as HOST:PORT, or "a local client" for a Unix socket."""
    if not isinstance(client_address, tuple):
        return "a local client"
    host, port = client_address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def log_listening(address: str) -> None:
    """Log the address that a server listens on."""
    logger.info("listening on %s", address, extra={"fields": {"event": "listening", "address": address}})


def log_opened(ws: Connection | EventStream) -> None:
    """Log that a WebSocket or an event stream is open, without the query of its path, which may hold a token."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "opened", "client": name_of(ws.remote_address), "connection": ws.id, "path": shown(ws.path.partition("?")[0])}
    logger.info("%(client)s opened %(path)s [%(connection)s]", fields, extra={"fields": fields})


def log_closed(ws: Connection | EventStream, seconds: float) -> None:
    """Log that a WebSocket or an event stream is closed; as a warning if the peer was evicted."""
    level = logging.WARNING if ws.was_evicted else logging.INFO
    end = ws.closed
    if end is None or not logger.isEnabledFor(level):
        return
    fields = {
        "event": "evicted" if ws.was_evicted else "closed",
        "client": name_of(ws.remote_address),
        "connection": ws.id,
        "code": end.code,
        "reason": shown(end.reason),
        "seconds": round(seconds, 3),
        "bytes_received": ws.bytes_received,
        "bytes_sent": ws.bytes_sent,
    }
    traffic = "%(bytes_received)d bytes received, %(bytes_sent)d sent"
    text = f"%(client)s %(event)s after %(seconds).1f s: %(code)d %(reason)s ({traffic}) [%(connection)s]"
    logger.log(level, text, fields, extra={"fields": fields})


def log_failed(client_address: object, ws: Connection | EventStream | None) -> None:
    """Log the exception of a handler, with its traceback. Called while the exception is handled. Without a WebSocket, `ws` is None."""
    fields = {"event": "failed", "client": name_of(ws.remote_address if ws else client_address), "connection": ws.id if ws else ""}
    place = " [%(connection)s]" if ws else ""
    logger.exception(f"the handler of %(client)s failed{place}", fields, extra={"fields": fields})


def log_answered(level: int, client_address: Any, request: Request, status: int) -> None:
    """Log the response to a plain request, without the query."""
    if not logger.isEnabledFor(level):
        return
    fields = {
        "event": "answered",
        "client": name_of(client_address),
        "method": request.method,
        "path": shown(request.path),
        "status": int(status),
    }
    logger.log(level, "%(client)s %(method)s %(path)s: %(status)d", fields, extra={"fields": fields})


def log_refused(client_address: Any, reason: object) -> None:
    """Log that a connection or a request was refused."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "refused", "client": name_of(client_address), "why": shown(reason)}
    logger.info("%(client)s refused: %(why)s", fields, extra={"fields": fields})
