"""What `wschat connect` sends and receives, as a pipe, in a script and in a replay: messages that are printed and recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

from wschat.cli.client.exit_codes import CommandExit, ExitCode, has_ended_well, is_worth_a_note, note
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Message, Recording
from wschat.cli.client.transcript import Transcript
from wschat.client.failures import TRUST_HINT
from wschat.client.reconnect import Attempt
from wschat.connection.state import LOST
from wschat.errors import ConnectionClosed, OpeningFailed, OutcomeUnknown, PeerError, Rejected, UsageError


@contextmanager
def opening(options: ConnectOptions) -> Iterator[None]:
    """Turn what prevents a connection from being opened into CommandExit."""
    try:
        yield
    except UsageError as error:
        raise CommandExit(ExitCode.USAGE, str(error)) from None
    except (OSError, PeerError) as error:
        details = _response(error) if options.verbose and isinstance(error, OpeningFailed) else ()
        text = str(error).replace(TRUST_HINT, "--cafile FILE")
        raise CommandExit(ExitCode.NOT_CONNECTED, f"{options.place}: {text}", details) from None


def _response(error: OpeningFailed) -> Sequence[str]:
    """Return the headers and the body of a response that did not open a WebSocket, as lines."""
    return [*header_lines(error.headers), *error.body.decode(errors="backslashreplace").splitlines()]


def header_lines(headers: Mapping[str, str]) -> Sequence[str]:
    """Return a line for each header."""
    return [f"{name}: {value}" for name, value in headers.items()]


def note_retry(attempt: Attempt, options: ConnectOptions) -> None:
    """Tell the user that an attempt to connect has failed, or a connection has ended, and when the next attempt follows."""
    if attempt.error is not None and attempt.pause is not None and not options.quiet:
        note(f"{attempt.url}: {attempt.error}; connecting again in {attempt.pause:.1f} s")


class Conversation(ABC):
    """The messages of a connection or of a room. Those that are sent and received are recorded, and those received are printed.

    One thread at a time may receive. Any thread may send.
    """

    def __init__(self, options: ConnectOptions, output: Output, recording: Recording) -> None:
        self._options = options
        self._output = output
        self._recording = recording
        self._transcript = Transcript()  # since the last expectation that was met

    @abstractmethod
    def running(self) -> AbstractContextManager[None]:
        """Return a block that ConnectionClosed ends, and after which everything is closed. Prints and records both ends."""

    @abstractmethod
    def end_input(self) -> None:
        """Begin to close, unless a number of messages is asked for: nothing more is sent. Never waits."""

    @abstractmethod
    def stop(self) -> None:
        """Begin to close, and end calls of `send` that wait. Never waits."""

    @abstractmethod
    def _send(self, message: Message, until: float | None) -> None:
        """Send a message. Raises as `send` does."""

    @abstractmethod
    def _receive(self, timeout: float | None) -> Message:
        """Wait for a message. Raises as `receive` does."""

    @property
    @abstractmethod
    def _closed(self) -> ConnectionClosed | None:
        """How the connection ended, None before."""

    # Sending

    def send_line(self, line: bytes) -> None:
        """Send a line of the input. Raises ConnectionClosed."""
        self.send_bytes(line if self._options.binary else line.removesuffix(b"\r"))

    def send_bytes(self, data: bytes, until: float | None = None) -> None:
        """Send a message of the type that was asked for. Raises as `send` does."""
        self.send(data if self._options.binary else data.decode(errors="replace"), until)

    def send(self, message: Message, until: float | None = None) -> None:
        """Send a message. Raises ConnectionClosed, and in a room Rejected, OutcomeUnknown, and TimeoutError if it is later than `until`."""
        self._recording.sent(message)  # first, because the answer may arrive while `_send` returns
        self._send(message, until)

    # Receiving

    def receive(self, until: float | None = None) -> Message:
        """Wait for a message, print it, and return it. Raises TimeoutError if it is later than `until`, and ConnectionClosed."""
        message = self._receive(None if until is None else max(0.0, until - monotonic()))
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

    @property
    def is_complete(self) -> bool:
        """True once as many messages as asked for have been received."""
        return 0 < self._options.count <= self._output.count

    @contextmanager
    def expecting(self, what: str) -> Iterator[float | None]:
        """Yield the time by which an expectation must be met, None for no limit.

        An error in the block means that it is not: CommandExit is raised with what was received instead. `what` names the expectation.
        """
        timeout = self._options.timeout
        try:
            yield monotonic() + timeout if timeout else None
        except TimeoutError:
            raise self._unmet(ExitCode.UNMET, f"{what}: not met within {timeout:g} s") from None
        except (Rejected, OutcomeUnknown) as error:
            raise self._unmet(ExitCode.UNMET, f"{what}: {error}") from None
        except ConnectionClosed as closed:
            code = ExitCode.UNMET if has_ended_well(closed) else ExitCode.CLOSED
            raise self._unmet(code, f"{what}: connection closed: {closed}") from None

    def forget(self) -> None:
        """Forget what was received for the error of an expectation: one was met."""
        self._transcript.clear()

    def _unmet(self, code: ExitCode, text: str) -> CommandExit:
        received = self._transcript.lines()
        return CommandExit(code, f"{self._options.place}: {text}; {'received instead:' if received else 'nothing was received'}", received)

    # Both ends

    def report_end(self) -> None:
        """Tell the user how the connection ended, unless it was closed by request. Raises CommandExit after an abnormal end."""
        closed = self._closed or ConnectionClosed(*LOST)
        text = f"{self._options.place}: connection closed: {closed}"
        if not has_ended_well(closed):
            raise CommandExit(ExitCode.CLOSED, text)
        if (is_worth_a_note(closed) or self._options.verbose) and not self._options.quiet:
            note(text)

    def _note_opening(self, text: str, details: Sequence[str], subprotocol: str | None) -> None:
        if self._options.verbose and not self._options.quiet:
            note(f"{self._options.place}: {text}", details)
        self._output.opened(subprotocol)
        self._recording.opened(self._options.place, subprotocol)

    def _note_end(self) -> None:
        closed = self._closed or ConnectionClosed(*LOST)
        self._recording.closed(closed)
        self._output.closed(closed)
