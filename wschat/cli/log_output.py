"""The log of a command: text or JSON on standard error."""

from __future__ import annotations

import json
import logging
import sys

from wschat.stdio import discard

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Formats each record as one line of JSON, with the fields of its event (see `wschat.server.logs`)."""

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


class StandardErrorHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time in Python 3.10
    """Writes to standard error. Lines that it does not accept, such as a pipe without a reader, are lost."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Ignore an error of standard error, because no other place is left to report it."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif isinstance(error, BrokenPipeError):
            discard(self.stream)


def set_up_logging(level: str, log_format: str) -> None:
    """Make the program log to standard error."""
    handler = StandardErrorHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
