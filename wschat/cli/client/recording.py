"""Recordings: what went over a connection, and when, as JSON lines.

Each line is an object. `at` is the time in seconds since the command began. The `type` is one of

- `open`, with `url` (without its query and credentials) and `subprotocol`,
- `text`, with `direction` (`sent` or `received`) and `text`,
- `binary`, with `direction` and `base64`,
- `close`, with `code` and `reason`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from types import TracebackType
from typing import Any

from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.errors import ConnectionClosed, UsageError
from wschat.limits import MAX_SECONDS

Message = str | bytes


def fields_of(message: Message) -> dict[str, Any]:
    """Return the type and the content of a message, for JSON."""
    if isinstance(message, str):
        return {"type": "text", "text": message}
    return {"type": "binary", "base64": base64.b64encode(message).decode()}


class Recording:
    """Writes a recording. Without a path, does nothing. May be used from any thread.

    The file is written to without a buffer: each line is one write, which no other thread tears, and is there when the program is
    killed. A failed write ends the recording, and is raised as CommandExit at the end of the block.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._began_at = monotonic()
        self._error: OSError | None = None
        try:
            self._file = None if path is None else open(path, "wb", buffering=0)  # noqa: SIM115  # closed by `__exit__`
        except OSError as error:
            raise self._failure(error) from None

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        if self._error is not None and kind is None:
            raise self._failure(self._error)

    def opened(self, place: str, subprotocol: str | None) -> None:
        """Note that a connection was opened to a URL, which has no query and no credentials."""
        self._write({"type": "open", "url": place, "subprotocol": subprotocol})

    def received(self, message: Message) -> None:
        """Note a message that was received."""
        self._write({"direction": "received", **fields_of(message)})

    def sent(self, message: Message) -> None:
        """Note a message that is sent next."""
        self._write({"direction": "sent", **fields_of(message)})

    def closed(self, closed: ConnectionClosed) -> None:
        """Note that the connection was closed."""
        self._write({"type": "close", "code": closed.code, "reason": closed.reason})

    def _write(self, fields: dict[str, Any]) -> None:
        if self._file is None or self._error is not None:
            return
        line = json.dumps({"at": round(monotonic() - self._began_at, 6), **fields}, ensure_ascii=False)
        try:
            self._file.write(f"{line}\n".encode())
        except OSError as error:
            self._error = error

    def _failure(self, error: OSError) -> CommandExit:
        return CommandExit(ExitCode.USAGE, f"--record {self._path}: {error.strerror}")


@dataclass(frozen=True)
class RecordedMessage:
    """A message of a recording."""

    at: float
    """When it was sent or received, in seconds since the connection was opened."""
    is_sent: bool
    """True if it was sent, False if it was received."""
    message: Message
    """The message: str for text, bytes for binary."""


@dataclass(frozen=True)
class ReadRecording:
    """A recording that was read."""

    messages: Sequence[RecordedMessage]
    """The messages, in the order of their times."""
    subprotocol: str | None
    """The subprotocol of the first connection."""


def read_recording(path: str) -> ReadRecording:
    """Read a recording. Raises UsageError if it cannot be read, or is not one. Lines of unknown types are skipped."""
    messages: list[RecordedMessage] = []
    openings: list[dict[str, Any]] = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                entry = _parse(line, f"--replay {path}, line {number}")
                if isinstance(entry, RecordedMessage):
                    messages.append(entry)
                elif entry.get("type") == "open":
                    openings.append(entry)
    except OSError as error:
        raise UsageError(f"--replay {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--replay {path}: it is not a recording, because it is not UTF-8") from None
    messages.sort(key=lambda message: message.at)
    opened_at = openings[0]["at"] if openings else messages[0].at if messages else 0.0
    subprotocol = openings[0].get("subprotocol") if openings else None
    return ReadRecording([replace(message, at=message.at - opened_at) for message in messages], subprotocol)


def _parse(line: str, place: str) -> RecordedMessage | dict[str, Any]:
    """Return the message of a line, or its fields if it is not a message. Raises UsageError."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise UsageError(f"{place}: it is not a JSON object")
    at, direction = entry.get("at"), entry.get("direction")
    if not (isinstance(at, (int, float)) and 0 <= at <= MAX_SECONDS):
        raise UsageError(f'{place}: "at" must be a number of seconds')
    if entry.get("type") not in ("text", "binary"):
        return entry
    if direction not in ("sent", "received"):
        raise UsageError(f'{place}: "direction" must be "sent" or "received"')
    return RecordedMessage(at, direction == "sent", _message(entry, place))


def _message(entry: dict[str, Any], place: str) -> Message:
    field = "text" if entry["type"] == "text" else "base64"
    value = entry.get(field)
    try:
        if isinstance(value, str):
            return value if field == "text" else base64.b64decode(value, validate=True)
    except binascii.Error:
        pass
    raise UsageError(f'{place}: "{field}" must be a string{"" if field == "text" else " in base64"}')
