"""One connection of `wschat connect`, whose messages are printed and recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from time import monotonic

from wschat.cli.client.exit_codes import CommandExit, ExitCode, has_ended_well, is_worth_a_note, note
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Message, Recording
from wschat.cli.client.transcript import Transcript
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
        details = _response(error) if options.verbose and isinstance(error, OpeningFailed) else ()
        raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: {error}", details) from None


@contextmanager
def conversing(options: ConnectOptions, *, subprotocols: Sequence[str] = ()) -> Iterator[Conversation]:
    """Open the one connection of the command, and close it after the block. Raises CommandExit."""
    with Recording(options.record) as recording:
        with opening(options):
            ws = options.open(subprotocols=subprotocols)
        conversation = Conversation(ws, options, Output(options), recording)
        with conversation.running():
            yield conversation
        conversation.report_end()


def _response(error: OpeningFailed) -> Sequence[str]:
    """Return the headers and the body of a response that did not open a WebSocket, as lines."""
    return [*_header_lines(error.headers), *error.body.decode(errors="backslashreplace").splitlines()]


def _header_lines(headers: Mapping[str, str]) -> Sequence[str]:
    return [f"{name}: {value}" for name, value in headers.items()]


class Conversation:
    """An open connection. Messages that are sent and received are recorded, and those received are printed.

    One thread at a time may receive. Any thread may send.
    """

    def __init__(self, ws: Connection, options: ConnectOptions, output: Output, recording: Recording) -> None:
        self._ws = ws
        self._options = options
        self._output = output
        self._recording = recording
        self._transcript = Transcript()  # since the last expectation that was met

    @contextmanager
    def running(self) -> Iterator[None]:
        """Print and record the opening and the end, and close at the end of the block, which ConnectionClosed ends, too."""
        if self._options.verbose and not self._options.quiet:
            note(f"{self._options.place}: connection opened", _header_lines(self._ws.headers))
        self._output.opened(self._ws)
        self._recording.opened(self._ws, self._options.place)
        try:
            with closing(self._ws), suppress(ConnectionClosed):
                yield
        finally:
            self._recording.closed(self._closed)
            self._output.closed(self._closed)

    def report_end(self) -> None:
        """Tell the user how the connection ended, unless it was closed by request. Raises CommandExit after an abnormal end."""
        text = f"{self._options.place}: connection closed: {self._closed}"
        if not has_ended_well(self._closed):
            raise CommandExit(ExitCode.CLOSED, text)
        if (is_worth_a_note(self._closed) or self._options.verbose) and not self._options.quiet:
            note(text)

    def send_line(self, line: bytes) -> None:
        """Send a line of the input. Raises ConnectionClosed."""
        self.send_bytes(line if self._options.binary else line.removesuffix(b"\r"))

    def send_bytes(self, data: bytes) -> None:
        """Send a message of the type that was asked for. Raises ConnectionClosed."""
        self.send(data if self._options.binary else data.decode(errors="replace"))

    def send(self, message: Message) -> None:
        """Send a message. Raises ConnectionClosed."""
        self._recording.send(self._ws, message)

    def receive(self, until: float | None = None) -> Message:
        """Wait for a message, print it, and return it. Raises TimeoutError if it is later than `until`, and ConnectionClosed."""
        message = self._ws.recv(None if until is None else max(0.0, until - monotonic()))
        self._transcript.add(message)
        self._recording.received(message)
        self._output.message(message)
        return message

    def receive_all(self) -> None:
        """Receive as many messages as asked for, and otherwise until the connection is closed, which raises ConnectionClosed.

        Raises CommandExit if the number is not reached in time, unless another connection may follow.
        """
        while not self.is_complete:
            if self._options.count and not self._options.reconnect:
                with self.expecting(f"--count {self._options.count}") as until:
                    self.receive(until)
            else:
                self.receive()

    def end_input(self) -> None:
        """Begin to close the connection, unless a number of messages is asked for. Never waits."""
        if not self._options.count:
            self._ws.begin_close()

    @contextmanager
    def expecting(self, what: str) -> Iterator[float | None]:
        """Yield the time by which an expectation must be met, None for no limit. If it is not, the block raises TimeoutError or
        ConnectionClosed, which become CommandExit with the messages that were received instead. `what` names the expectation.
        """
        timeout = self._options.timeout
        try:
            yield monotonic() + timeout if timeout else None
        except TimeoutError:
            raise self._unmet(ExitCode.UNMET, f"{what}: not met within {timeout:g} s") from None
        except ConnectionClosed as closed:
            code = ExitCode.UNMET if has_ended_well(closed) else ExitCode.CLOSED
            raise self._unmet(code, f"{what}: connection closed: {closed}") from None

    def forget(self) -> None:
        """Forget what was received for the error of an expectation: one was met."""
        self._transcript.clear()

    @property
    def is_complete(self) -> bool:
        """True once as many messages as asked for have been received."""
        return 0 < self._options.count <= self._output.count

    @property
    def _closed(self) -> ConnectionClosed:
        """How the connection ended; lost, if it has not."""
        return self._ws.closed or ConnectionClosed(*LOST)

    def _unmet(self, code: ExitCode, text: str) -> CommandExit:
        received = self._transcript.lines()
        return CommandExit(code, f"{self._options.place}: {text}; {'received instead:' if received else 'nothing was received'}", received)
