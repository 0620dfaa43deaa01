"""The messages of one WebSocket, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wschat.cli.client.conversation import Conversation, header_lines
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.output import Output
from wschat.cli.client.recording import Message, Recording
from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed

_SECONDS_TO_STOP = 1.0


class RawConversation(Conversation):
    """The messages of an open connection."""

    def __init__(self, ws: Connection, options: ConnectOptions, output: Output, recording: Recording) -> None:
        super().__init__(options, output, recording)
        self._ws = ws

    @contextmanager
    def running(self) -> Iterator[None]:
        """Close the connection after the block."""
        self._note_opening("connection opened", header_lines(self._ws.headers), self._ws.subprotocol)
        try:
            with suppress(ConnectionClosed):
                yield
        finally:
            self.stop()
            self._ws.close()
            self._note_end()

    def end_input(self) -> None:
        """Begin to close the connection. Messages may still arrive."""
        if not self._options.count:
            self._ws.begin_close()

    def stop(self) -> None:
        """Begin to close the connection. A server that does not answer is not waited for long: nothing that it sends is wanted."""
        self._ws.begin_close(timeout=_SECONDS_TO_STOP)

    def _send(self, message: Message, until: float | None) -> None:
        self._ws.send(message)

    def _receive(self, timeout: float | None) -> Message:
        return self._ws.recv(timeout)

    @property
    def _closed(self) -> ConnectionClosed | None:
        return self._ws.closed
