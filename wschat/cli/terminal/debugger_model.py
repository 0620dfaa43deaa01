"""What the debugger shows of a connection to any server. Without a terminal and threads, pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from wschat.cli.terminal.debugger_commands import COMMANDS
from wschat.cli.terminal.payloads import shown_bytes, shown_text
from wschat.cli.terminal.rows import Fragment, Row
from wschat.cli.terminal.safe_text import displayable, one_row
from wschat.cli.terminal.status import latency, seconds_until
from wschat.cli.terminal.transcript import Line, Transcript
from wschat.errors import ConnectionClosed

_KEYS = (
    ("PageUp, PageDown", "scroll; Ctrl-End goes back to the newest"),
    ("Alt-Enter", "begin a new line in a message"),
    ("Up, Ctrl-R", "earlier lines; search in them"),
    ("Ctrl-C, Ctrl-D", "clear the line; end the program if it is empty"),
)


@dataclass(frozen=True)
class Opened:
    """What is shown of a connection that was opened."""

    address: str
    """The address of the peer."""
    subprotocol: str | None
    """The subprotocol that was agreed on."""
    headers: Mapping[str, str]
    """The headers of the server's response."""


@dataclass
class DebuggerModel:
    """The state and the lines of the debugger. Times are shown if `timestamps` is True, headers at each opening if `verbose` is True."""

    place: str
    """The URL without its query."""
    verbose: bool = False
    """True if headers are shown."""
    timestamps: bool = False
    """True if each line has its time."""
    now: Callable[[], datetime] = datetime.now
    """The clock."""
    transcript: Transcript = field(default_factory=Transcript)
    """The lines."""
    connection: Opened | None = None
    """The open connection, None if there is none."""
    sent_count: int = 0
    """Messages sent."""
    received_count: int = 0
    """Messages received."""
    _last_headers: Mapping[str, str] = field(default_factory=dict)
    _retry_at: float | None = None

    def opened(self, connection: Opened) -> None:
        """Show that a connection is open."""
        self.connection, self._last_headers, self._retry_at = connection, connection.headers, None
        subprotocol = f", subprotocol {connection.subprotocol}" if connection.subprotocol else ""
        self._event("\u25cf", "class:received", f"connected to {connection.address}{subprotocol}")
        if self.verbose:
            self.show_headers()

    def closed(self, closed: ConnectionClosed) -> None:
        """Show how the connection was closed."""
        self.connection = None
        self._event("\u25cb", "class:error", f"closed {closed}")

    def retrying(self, error: str, pause: float) -> None:
        """Show why an attempt to connect failed, and when the next one follows."""
        self.retry_in(pause)
        self._event("\u25cb", "class:error", f"{error}; trying again in {max(1, round(pause))} s")

    def retry_in(self, pause: float) -> None:
        """Count down to the next attempt, which begins after this many seconds."""
        self._retry_at = monotonic() + pause

    def sent(self, message: str | bytes) -> None:
        """Show a message that is sent."""
        self.sent_count += 1
        self._message("\u2192", "class:sent", message)

    def received(self, message: str | bytes, at: datetime) -> None:
        """Show a message that was received."""
        self.received_count += 1
        self._message("\u2190", "class:received", message, at)

    def ponged(self, seconds: float) -> None:
        """Show how long a pong took."""
        self._event("\u25cf", "class:received", f"pong after {latency(seconds)}")

    def failed(self, text: str) -> None:
        """Show what could not be done."""
        self._add("!", "class:error", [("class:error", displayable(text))])

    def show_headers(self) -> None:
        """Show the headers of the last opening response."""
        for name, value in self._last_headers.items():
            self._add(" ", "", [("class:json-key", one_row(name)), ("class:dim", ": "), ("", one_row(value))])

    def show_help(self) -> None:
        """Show the commands and the keys."""
        usages = [
            *((command.usage, command.help) for command in COMMANDS.values()),
            ("//TEXT", "send a message that begins with a slash"),
            *_KEYS,
        ]
        width = max(len(usage) for usage, _ in usages)
        for usage, text in usages:
            self._add(" ", "", [("bold", usage.ljust(width + 2)), ("class:info", text)])

    def title(self) -> tuple[Row, Row]:
        """Return the parts of the row at the top: the URL, and the subprotocol."""
        subprotocol = self.connection.subprotocol if self.connection else None
        return [("", f" {one_row(self.place)}")], [("class:dim nobold", f"{one_row(subprotocol)} ")] if subprotocol else []

    def state(self) -> Row:
        """Return the state of the connection."""
        if self.connection is not None:
            return [("class:good", " \u25cf connected")]
        return [("class:bad", f" \u25cb {seconds_until(self._retry_at)}")]

    def counts(self) -> str:
        """Return the numbers of messages."""
        return f"{self.sent_count:,} sent \u00b7 {self.received_count:,} received"

    def _event(self, mark: str, style: str, text: str) -> None:
        self._add(mark, style, [("class:info", displayable(text))])

    def _message(self, mark: str, style: str, message: str | bytes, at: datetime | None = None) -> None:
        self._add(mark, style, shown_text(message) if isinstance(message, str) else shown_bytes(message), at)

    def _add(self, mark: str, style: str, body: Sequence[Fragment], at: datetime | None = None) -> None:
        head: list[Fragment] = [(style, f"{mark} ")]
        if self.timestamps:
            head.insert(0, ("class:dim", f"{at or self.now():%H:%M:%S.%f}"[:-3] + " "))
        self.transcript.append(Line(body, head))
