"""Logs: what a server says about its connections, as text or as JSON. Never what was said on them, nor a token.

What a peer sends is shown with everything escaped that could move a terminal's cursor or begin another line.
"""

from __future__ import annotations

import logging
from typing import Any

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.counters import counters
from wschat.errors import RequestRefused
from wschat.server.requests import Request

logger = logging.getLogger("wschat.server")


def shown(text: object) -> str:
    """A text of a peer as it may stand in a log."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(text))


def name_of(client_address: Any) -> str:
    """An address of `socketserver` for people: HOST:PORT, or "a local client"."""
    if not isinstance(client_address, tuple):
        return "a local client"
    host, port = client_address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def log_listening(address: str) -> None:
    """A server listens here."""
    logger.info("listening on %s", address, extra={"fields": {"event": "listening", "address": address}})


def log_opened(ws: Connection | EventStream) -> None:
    """A WebSocket or a stream of events is open. The query of its path is left out: it may hold a token."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "opened", "client": name_of(ws.remote_address), "path": shown(ws.path.partition("?")[0])}
    logger.info("%(client)s opened %(path)s", fields, extra={"fields": fields})


def log_closed(ws: Connection | EventStream, seconds: float) -> None:
    """It is over. That a slow peer was evicted is a warning."""
    level = logging.WARNING if ws.was_evicted else logging.INFO
    end = ws.closed
    if end is None or not logger.isEnabledFor(level):
        return
    fields = {
        "event": "evicted" if ws.was_evicted else "closed",
        "client": name_of(ws.remote_address),
        "code": end.code,
        "reason": shown(end.reason),
        "seconds": round(seconds, 3),
        "bytes_received": ws.bytes_received,
        "bytes_sent": ws.bytes_sent,
    }
    text = "%(client)s %(event)s after %(seconds).1f s: %(code)d %(reason)s (%(bytes_received)d bytes received, %(bytes_sent)d sent)"
    logger.log(level, text, fields, extra={"fields": fields})


def log_answered(client_address: Any, request: Request, status: int) -> None:
    """A plain request has been answered. The query is left out, too."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    fields = {
        "event": "answered",
        "client": name_of(client_address),
        "method": request.method,
        "path": shown(request.path),
        "status": int(status),
    }
    logger.debug("%(client)s %(method)s %(path)s: %(status)d", fields, extra={"fields": fields})


def log_refused(client_address: Any, why: object) -> None:
    """Somebody did not get what they had asked for. It is counted by its status or first words, the same for all of a kind."""
    counters.count_refusal(f"{why.status:d}" if isinstance(why, RequestRefused) else str(why).partition(":")[0])
    log_refusal(client_address, why)


def log_refusal(client_address: Any, why: object) -> None:
    """Log a refusal that is counted elsewhere."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "refused", "client": name_of(client_address), "why": shown(why)}
    logger.info("%(client)s refused: %(why)s", fields, extra={"fields": fields})
