"""The lines of a room of a chat: each line is said once, and what is said is received as `NAME: TEXT`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from wschat.brokers.base import TOPIC
from wschat.chat.text import as_line
from wschat.cli.client.conversation import Conversation, note_retry, opening
from wschat.cli.client.exit_codes import CommandExit, ExitCode, note
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Message, Recording
from wschat.client.chat.client import ChatClient
from wschat.client.reconnect import Attempt
from wschat.connection.state import LOST
from wschat.errors import ConnectionClosed, OutcomeUnknown, Rejected, WSChatError
from wschat.events import Event, MemberEvent, MessageEvent, TopicEvent, WhisperEvent

_SHOWN_CHARACTERS = 40
_EXITS = ("kick", "ban")


class RoomConversation(Conversation):
    """The lines of a room. A `ChatClient` says them, and connects again with --reconnect."""

    def __init__(self, room: str, options: ConnectOptions, output: Output, recording: Recording) -> None:
        super().__init__(options, output, recording)
        self._room = room
        self._unsaid = 0
        self._was_open = False  # set and read by the client's thread
        self._client = ChatClient(
            self._url,
            name=options.name,
            rooms=[room],
            headers=options.request_headers,
            on_attempt=self._on_attempt,
            **options.arguments(),
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Wait until the room is joined, and close the client after the block."""
        with self._client:
            with opening(self._options):
                try:
                    self._client.run("ping", timeout=None)
                except (ConnectionClosed, OutcomeUnknown):
                    text = f"{self._options.place}: connection closed: {self._client.closed}"
                    raise CommandExit(ExitCode.NOT_CONNECTED, text) from None
            self._note_opening(f"joined {self._room} as {self._client.name}", (), None)
            try:
                with suppress(ConnectionClosed):
                    yield
            finally:
                self._client.close()
                self._note_end()

    def report_end(self) -> None:
        """Tell how it ended. Raises CommandExit after an abnormal end, and if a line was not said."""
        error = self._client.closed
        if error is not None and not isinstance(error, ConnectionClosed):
            with opening(self._options):
                raise error
        super().report_end()
        if self._unsaid:
            raise CommandExit(ExitCode.UNMET, f"{self._options.place}: lines not said: {self._unsaid}")

    def send_line(self, line: bytes) -> None:
        """Say a line of the input, unless it is empty. If the server rejects it, tell so, and go on. Raises ConnectionClosed."""
        if not line.strip():
            return
        try:
            super().send_line(line)
        except Rejected as error:
            self._unsaid += 1
            if self._options.quiet:
                return
            text = line.decode(errors="replace")
            shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
            note(f"{self._options.place}: {error} Not said: {shown}")

    def end_input(self) -> None:
        """End the client, once what was received is printed."""
        if not self._options.count:
            self._client.stop()

    def stop(self) -> None:
        """End the client."""
        self._client.stop()

    def _send(self, message: Message, until: float | None) -> None:
        if isinstance(message, bytes):
            raise CommandExit(ExitCode.USAGE, "a binary message cannot be said in a room")
        with self._until_ended():
            self._client.say(self._room, message, timeout=None if until is None else max(0.0, until - monotonic()))

    def _receive(self, timeout: float | None) -> Message:
        until = None if timeout is None else monotonic() + timeout
        while True:
            with self._until_ended():
                event = self._client.recv(None if until is None else max(0.0, until - monotonic()))
            self._output.event(event)
            self._check_membership(event)
            if (line := line_of(event)) is not None:
                return line

    @contextmanager
    def _until_ended(self) -> Iterator[None]:
        """Turn any error after the end of the client into ConnectionClosed; `report_end` tells what has ended it."""
        try:
            yield
        except (OSError, WSChatError) as error:
            ended = self._client.closed
            if ended is None or (isinstance(error, Rejected) and error is not ended):
                raise
            raise self._closed or ConnectionClosed(*LOST) from None

    def _check_membership(self, event: Event) -> None:
        """Raise CommandExit if an event tells that a moderator has removed the client from the room."""
        if isinstance(event, MemberEvent) and event.event in _EXITS and event.name == self._client.name:
            raise CommandExit(ExitCode.CLOSED, f"{self._options.place}: removed from the room {event.room} ({event.event})")

    def _url(self) -> str:
        """Return the URL for the next connection, for the first one with the name.

        For a client that takes its name by a request, the name is reserved when it leaves, and the next run of a script would not get it.
        Later connections do so: a request can take the name over from a lost connection.
        """
        return self._options.url if self._was_open else self._options.target

    def _on_attempt(self, attempt: Attempt) -> None:
        self._was_open = self._was_open or attempt.error is None
        if attempt.error is not None and not self._options.reconnect:
            raise attempt.error
        note_retry(attempt, self._options)

    @property
    def _closed(self) -> ConnectionClosed | None:
        error = self._client.closed
        return error if isinstance(error, ConnectionClosed) else None


def line_of(event: Event) -> str | None:
    """Return the line for what is said in a room or whispered, None for any other event."""
    if isinstance(event, MessageEvent):
        return as_line(event.sender, event.text)
    if isinstance(event, TopicEvent):
        return as_line(event.sender, event.text, TOPIC)
    if isinstance(event, WhisperEvent):
        return f"{event.sender} whispers: {event.text}"
    return None
