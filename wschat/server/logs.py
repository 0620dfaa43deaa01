"""Log entries about connections, as text or as JSON. Messages, queries and tokens are never logged.

Texts from a peer are logged with all characters escaped that could move a terminal's cursor or begin another line.
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
"""The formats that `set_up_logging` knows."""


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
    fields = {"event": "opened", "client": name_of(ws.remote_address), "path": shown(ws.path.partition("?")[0])}
    logger.info("%(client)s opened %(path)s", fields, extra={"fields": fields})


def log_closed(ws: Connection | EventStream, seconds: float) -> None:
    """Log that a WebSocket or an event stream is closed; as a warning if the peer was evicted."""
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
    """Log the response to a plain request, without the query."""
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


def log_refused(client_address: Any, reason: object) -> None:
    """Log that a connection or a request was refused."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {"event": "refused", "client": name_of(client_address), "why": shown(reason)}
    logger.info("%(client)s refused: %(why)s", fields, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with the fields of the entries above."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
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


class StandardErrorHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic in Python 3.10
    """Writes to standard error. Lines are lost if writing fails, as to a pipe without a reader."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is logging's
        """Ignore errors of standard error, which could not be reported."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif isinstance(error, BrokenPipeError):
            discard(self.stream)


def set_up_logging(level: str, log_format: str) -> None:
    """Log to standard error: entries of `level` and above, in one of `FORMATS`."""
    handler = StandardErrorHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
