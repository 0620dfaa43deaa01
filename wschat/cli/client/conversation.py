"""One connection of `wschat connect`, whose messages are printed and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from wschat.cli.client.exit_codes import CommandExit, ExitCode, has_ended_well, is_worth_a_note, note
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Message, Recording
from wschat.connection.connection import Connection
from wschat.connection.state import LOST
from wschat.errors import ConnectionClosed, OpeningFailed, UsageError


@contextmanager
def opening(options: ConnectOptions) -> Iterator[None]:
    """Turn what prevents a connection from being opened into CommandExit."""
    try:
        yield
    except UsageError as error:
        raise CommandExit(ExitCode.USAGE, str(error)) from None
    except (OSError, OpeningFailed) as error:
        raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: {error}") from None


class Conversation:
    """An open connection. Messages that are sent and received are recorded, and those received are printed."""

    def __init__(self, ws: Connection, options: ConnectOptions, output: Output, recording: Recording) -> None:
        self._ws = ws
        self._options = options
        self._output = output
        self._recording = recording

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note the opening and the end, and close at the end of the block, which ConnectionClosed ends, too.

        Raises CommandExit if the end is abnormal.
        """
        self._output.opened(self._ws)
        self._recording.opened(self._ws, self._options.place)
        try:
            with closing(self._ws), suppress(ConnectionClosed):
                yield
        finally:
            closed = self._ws.closed or ConnectionClosed(*LOST)
            self._recording.closed(closed)
        self._output.closed(closed)
        text = f"{self._options.place}: connection closed: {closed}"
        if not has_ended_well(closed):
            raise CommandExit(ExitCode.CLOSED, text)
        if is_worth_a_note(closed) and not self._options.quiet:
            note(text)

    def send_line(self, line: bytes) -> None:
        """Send a line of the input. Raises ConnectionClosed."""
        self.send(line if self._options.binary else line.decode(errors="replace").removesuffix("\r"))

    def send(self, message: Message) -> None:
        """Send a message. Raises ConnectionClosed."""
        self._recording.send(self._ws, message)

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for a message, print it, and return it. Raises TimeoutError and ConnectionClosed."""
        message = self._ws.recv(timeout)
        self._recording.received(message)
        self._output.message(message)
        return message

    def finish(self) -> None:
        """Close the connection, and print the messages that still arrive. Raises ConnectionClosed, as always at the end."""
        self._ws.begin_close()
        while True:
            self.receive()
