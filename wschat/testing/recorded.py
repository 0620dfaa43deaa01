"""Connections of tests: each receive has a deadline, and a transcript tells what was sent and received."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wschat.connection.connection import Connection
from wschat.connection.streams import Stream
from wschat.errors import ConnectionClosed
from wschat.testing.transcript import Transcript


class RecordingStream:
    """A stream that adds what passes to a transcript."""

    def __init__(self, stream: Stream, transcript: Transcript) -> None:
        self._stream = stream
        self._transcript = transcript
        self._has_ended = False
        self.record_bytes = stream.record_bytes
        self.wait = stream.wait
        self.fileno = stream.fileno
        self.close = stream.close
        self.leave_to_parent = stream.leave_to_parent

    def recv(self, max_bytes: int, /) -> bytes:
        """Wait for bytes and return them."""
        try:
            return self._received(self._stream.recv(max_bytes))
        except OSError as error:
            self._end(f"lost the connection: {error}")
            raise

    def recv_now(self, max_bytes: int) -> bytes | None:
        """Read without waiting."""
        try:
            data = self._stream.recv_now(max_bytes)
        except OSError as error:
            self._end(f"lost the connection: {error}")
            raise
        return None if data is None else self._received(data)

    def send(self, data: bytes | memoryview, at_once: int, /) -> int:
        """Write without waiting."""
        sent = self._stream.send(data, at_once)
        self._transcript.sent(bytes(data[:sent]))
        return sent

    def half_close(self) -> None:
        """End the sending direction."""
        self._transcript.sent(b"")
        self._stream.half_close()

    def abort(self) -> None:
        """End both directions."""
        self._end("ended the connection")
        self._stream.abort()

    def _received(self, data: bytes) -> bytes:
        if data:
            self._transcript.received(data)
        else:
            self._end("received the end of the stream")
        return data

    def _end(self, text: str) -> None:
        """Note how the stream has ended, unless that was noted before."""
        if not self._has_ended:
            self._has_ended = True
            self._transcript.note(text)


class RecordedConnection(Connection):
    """A connection whose receives and pings fail with a transcript if they wait too long."""

    def __init__(self, stream: Stream, *, title: str, timeout: float | None, already_read: bytes = b"", **options: Any) -> None:
        """`timeout` is in seconds, None for no limit; the other arguments are those of `Connection`."""
        self.transcript = Transcript(title, is_client=options["is_client"], deflate=options.get("deflate"))
        """What was sent and received. Its text is for people."""
        self.url: str | None = None
        """The URL that was connected to; None for an end of a pair."""
        self.timeout = timeout
        """The seconds that a receive without a timeout of its own waits; None for no limit."""
        if already_read:
            self.transcript.received(already_read)
        super().__init__(RecordingStream(stream, self.transcript), already_read=already_read, **options)

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Return the next message, as `Connection.recv` does.

        Raises AssertionError with the transcript if no `timeout` is given and none comes within `self.timeout` seconds.
        """
        __tracebackhide__ = True
        if timeout is not None:
            return super().recv(timeout)
        try:
            return super().recv(self.timeout)
        except TimeoutError:
            raise self._too_late("message") from None

    def __iter__(self) -> Iterator[str | bytes]:
        __tracebackhide__ = True
        while True:
            try:
                message = self.recv()
            except ConnectionClosed:
                return
            yield message

    def ping(self, timeout: float | None = None) -> float:
        """Send a ping and wait for its pong, as `Connection.ping` does.

        Raises AssertionError with the transcript if no `timeout` is given and none comes within `self.timeout` seconds.
        """
        __tracebackhide__ = True
        if timeout is not None:
            return super().ping(timeout)
        try:
            return super().ping(self.timeout)
        except TimeoutError:
            raise self._too_late("pong") from None

    def _too_late(self, what: str) -> AssertionError:
        return AssertionError(f"no {what} within {self.timeout:g} s\n{self.transcript}")
