"""The debugger: a screen for a connection to any server.

Three threads: the main one has the screen, one receives, and the worker sends. Neither a slow server nor a fast one stops the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from prompt_toolkit.completion import Completer
from prompt_toolkit.history import History

from wschat.cli.client.exit_codes import ExitCode, has_ended_well
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.completion import CommandCompleter
from wschat.cli.terminal.debugger_commands import (
    COMMANDS,
    Clear,
    CloseConnection,
    Ping,
    Quit,
    SendMessage,
    ShowHeaders,
    ShowHelp,
    parse_line,
)
from wschat.cli.terminal.debugger_model import DebuggerModel, Opened
from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.screen import Screen
from wschat.cli.terminal.status import below, latency
from wschat.cli.terminal.transcript import Transcript
from wschat.cli.terminal.worker import Worker
from wschat.client.reconnect import Attempt, Reconnect
from wschat.connection.connection import Connection
from wschat.daemons import start_daemon
from wschat.errors import ConnectionClosed, UsageError

SECONDS_TO_CLOSE = 2.0
_PING_TIMEOUT = 10.0


class Debugger:
    """A debugger of one connection after the other, each of which `connections` opens. `run` may be called once."""

    def __init__(self, model: DebuggerModel, connections: Sequence[Connection] | Reconnect, history: History, recording: Recording) -> None:
        self.model = model
        self.calls = CallQueue()
        self.completer: Completer = CommandCompleter(lambda: {name: (command.usage, command.help) for name, command in COMMANDS.items()})
        self._connections = connections
        self._recording = recording
        self._worker = Worker(self.calls.fail)
        self._screen = Screen(self, self.calls, history)
        self._ws: Connection | None = None
        self._is_ending = False

    def run(self) -> int:
        """Show the screen until the user ends it or no connection is left. Return the exit code."""
        try:
            return self._screen.run(self._start)
        finally:
            self._stop()

    def _start(self) -> None:
        self._worker.start()
        start_daemon(self._receive, "wschat-receiver")

    def _stop(self) -> None:
        """Send what waits, close the connection, and take what still arrives into the transcript."""
        self._worker.finish(SECONDS_TO_CLOSE)
        self._is_ending = True
        if self._ws is not None:
            self._ws.begin_close(timeout=SECONDS_TO_CLOSE)
        if isinstance(self._connections, Reconnect):
            self._connections.stop()
        self.calls.run_to_end(2 * SECONDS_TO_CLOSE)

    def attempted(self, attempt: Attempt) -> None:
        """Show that an attempt to connect has failed, or when the next one follows. For `reconnect`, from its thread."""
        if attempt.pause is None:
            return
        if isinstance(attempt.error, ConnectionClosed):  # which is shown already
            self.calls.put(partial(self.model.retry_in, attempt.pause))
        else:
            self.calls.put(partial(self.model.retrying, str(attempt.error), attempt.pause))

    # What the screen asks for

    @property
    def transcript(self) -> Transcript:
        """The lines."""
        return self.model.transcript

    def title(self) -> tuple[Row, Row]:
        """Return the parts of the row at the top."""
        return self.model.title()

    def status(self) -> tuple[Row, Row]:
        """Return the parts of the status line."""
        seconds = self._ws.latency if self._ws is not None else None
        counts = self.model.counts() + (f" \u00b7 {latency(seconds)} " if seconds is not None else " ")
        return self.model.state(), [*below(self.transcript), ("", counts)]

    def prompt(self) -> Row:
        """Return what stands before the line that the user types."""
        return [("class:prompt", "\u203a ")]

    def accept(self, text: str) -> bool:
        """Do what a line asks for. What cannot be done stays in the prompt."""
        try:
            request = parse_line(text)
        except UsageError as error:
            self.model.failed(str(error))
            return True
        if isinstance(request, ShowHelp):
            self.model.show_help()
        elif isinstance(request, ShowHeaders):
            self.model.show_headers()
        elif isinstance(request, Clear):
            self.transcript.clear()
        elif isinstance(request, Quit):
            self._screen.end()
        else:
            return not self._ask(request)
        return False

    def typed(self, text: str) -> None:
        """Nothing is sent before the line is complete."""

    def reached_top(self) -> None:
        """Nothing is above the oldest line."""

    def key(self, name: str) -> None:
        """There are no rooms to go to."""

    # Requests, which the worker carries out

    def _ask(self, request: SendMessage | Ping | CloseConnection) -> bool:
        """Have a request carried out on the open connection. Return False if there is none, or too many requests wait."""
        ws = self._ws
        if ws is None or ws.closed is not None:
            self.model.failed("not connected: nothing was sent")
            return False
        if isinstance(request, SendMessage):
            task = partial(self._send, ws, request.message)
        elif isinstance(request, Ping):
            task = partial(self._ping, ws)
        else:
            self._is_ending = True
            task = partial(ws.begin_close, request.code, request.reason)
        if not self._worker.submit(task):
            self.model.failed("too many messages wait to be sent: the server does not read them")
            return False
        if isinstance(request, SendMessage):
            self.model.sent(request.message)
        return True

    def _send(self, ws: Connection, message: str | bytes) -> None:
        try:
            self._recording.sent(message)
            ws.send(message)
        except ConnectionClosed:
            self.calls.put(partial(self.model.failed, "the connection was closed before the last message was sent"))

    def _ping(self, ws: Connection) -> None:
        try:
            self.calls.put(partial(self.model.ponged, ws.ping(_PING_TIMEOUT)))
        except (TimeoutError, ConnectionClosed) as error:
            self.calls.put(partial(self.model.failed, f"ping: {error}"))

    # Receiving

    def _receive(self) -> None:
        code = 0
        try:
            for ws in self._connections:
                code = self._receive_from(ws)
                if self._is_ending:
                    break
            self.calls.put(partial(self._screen.end, code))
        except Exception as error:
            self.calls.fail(error)
        finally:
            self.calls.close()

    def _receive_from(self, ws: Connection) -> int:
        """Show the messages of a connection until it is closed, and return the exit code for how it was closed."""
        self._ws = ws
        self.calls.put(partial(self.model.opened, Opened(_address(ws), ws.subprotocol, ws.headers)))
        self._recording.opened(self.model.place, ws.subprotocol)
        for message in ws:
            self._recording.received(message)
            self.calls.put(partial(self.model.received, message, datetime.now()))
        closed = ws.closed
        assert closed is not None
        self._recording.closed(closed)
        self.calls.put(partial(self.model.closed, closed))
        return 0 if self._is_ending or has_ended_well(closed) else ExitCode.CLOSED


def _address(ws: Connection) -> str:
    address = ws.remote_address
    if not isinstance(address, tuple):
        return str(address) or "a Unix socket"
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return f"{host}:{address[1]}"
