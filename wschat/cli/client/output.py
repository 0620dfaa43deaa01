"""Standard output of `wschat connect`: messages as lines, with times, as JSON, or as they are."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Any

from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.recording import Message, fields_of
from wschat.cli.client.transcript import text_of
from wschat.client.escapes import indented
from wschat.errors import ConnectionClosed
from wschat.events import Event
from wschat.stdio import discard


class Output:
    """Prints messages. On a terminal, control characters are escaped. Raises CommandExit once nothing can be written."""

    def __init__(self, options: ConnectOptions) -> None:
        self._options = options
        self._bytes = sys.stdout.buffer
        self._is_terminal = sys.stdout.isatty()
        self.count = 0
        """The number of messages that were printed."""

    def opened(self, subprotocol: str | None) -> None:
        """Print that a connection was opened, if that is asked for."""
        if self._options.json:
            self._show_json({"type": "open", "url": self._options.place, "subprotocol": subprotocol})

    def closed(self, closed: ConnectionClosed) -> None:
        """Print that a connection was closed, if that is asked for."""
        if self._options.json:
            self._show_json({"type": "close", "code": closed.code, "reason": closed.reason})

    def message(self, message: Message) -> None:
        """Print a message. In a room, `event` prints it if JSON is asked for."""
        self.count += 1
        if self._options.json:
            if self._options.room is None:
                self._show_json(fields_of(message))
        elif self._options.binary and isinstance(message, bytes) and not self._is_terminal:
            self._write(message)
        else:
            self._show_line(message)

    def event(self, event: Event) -> None:
        """Print an event of the chat, if that is asked for."""
        if self._options.json:
            fields = {"type": event.type, **event.fields()}
            fields.pop("time", None)  # in a unit of its own, and not in each event
            self._show_json(fields)

    def _show_line(self, message: Message) -> None:
        if self._is_terminal:
            message = indented(text_of(message))
        time = f"{_now()} " if self._options.timestamps else ""
        self._write(time.encode() + (message.encode() if isinstance(message, str) else message) + b"\n")

    def _show_json(self, fields: dict[str, Any]) -> None:
        line = json.dumps({"time": _now(), **fields}, ensure_ascii=self._is_terminal).replace("\x7f", "\\u007f")
        self._write(line.encode() + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            self._bytes.write(data)
            self._bytes.flush()
        except OSError as error:
            discard(sys.stdout)
            if isinstance(error, BrokenPipeError):  # the reader has all that it wants
                raise CommandExit(ExitCode.OK) from None
            raise CommandExit(ExitCode.USAGE, f"cannot write to standard output: {error.strerror}") from None


def _now() -> str:
    """Return the time as in RFC 3339, in UTC with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
