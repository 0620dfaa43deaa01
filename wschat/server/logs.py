"""Logs: what a server says about its connections, as text or as JSON. Never what was said on them, nor a token.

What a peer sends is shown with everything escaped that could move a terminal's cursor or begin another line.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from wschat.connection.connection import Connection
from wschat.connection.event_stream import EventStream
from wschat.server.requests import Request
from wschat.stdio import discard

logger = logging.getLogger("wschat.server")

FORMATS = ("text", "json")


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
    """Log that a connection or a request was refused."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "refused", "client": name_of(client_address), "why": shown(why)}
    logger.info("%(client)s refused: %(why)s", fields, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object on a line for each record, with the fields of the events above."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class StandardErrorHandler(logging.StreamHandler):  # type: ignore[type-arg]  # which Python 3.10 takes none for
    """Writes to standard error; lines that it does not take, as a pipe that nobody reads, are lost."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Say nothing of an error of standard error: it could be said nowhere."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif isinstance(error, BrokenPipeError):
            discard(self.stream)


def set_up_logging(level: str, log_format: str) -> None:
    """Have the program log to standard error."""
    handler = StandardErrorHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
