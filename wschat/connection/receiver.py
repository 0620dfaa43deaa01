"""The receiving half of one WebSocket: reads from the stream, one thread at a time, and corks the thread that it brings messages to."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import Final

from wschat.connection.cork import Cork, current, uncork
from wschat.connection.incoming import LARGE_READ, EndOfStream, Incoming
from wschat.connection.reader_lock import ReaderLock
from wschat.connection.state import CLOSED
from wschat.connection.streams import Stream, recv_until, was_interrupted
from wschat.connection.transport import Transport
from wschat.connection.writer import Writer

# The seconds for which `read_soon` polls: a thread that falls asleep and is woken takes about as long, and as much processor time.
_POLL_TIMEOUT: Final = 1e-4


def _give_way() -> None:
    """Let other processes run first, such as the peer on a machine with one core."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()


class Receiver:
    """Reads from one stream. `read` and `read_to_end` need the `reader_lock`; the other methods take it."""

    __slots__ = ("_cork", "_on_end", "_stream", "_transport", "_writer", "incoming", "messages", "reader_lock")

    def __init__(
        self,
        stream: Stream,
        incoming: Incoming,
        transport: Transport,
        writer: Writer,
        on_end: Callable[[EndOfStream, float | None], bool],
    ) -> None:
        """`on_end` is called by the thread that reads when the stream ends; it may call `read_to_end` and returns what `read` returns."""
        self._stream = stream
        self.incoming = incoming
        """What was read."""
        self.messages = incoming.messages
        """The messages not received yet, the oldest first."""
        self.reader_lock = ReaderLock(transport, self.read)
        """The right to read."""
        self._transport = transport
        self._writer = writer
        self._on_end = on_end
        self._cork: Cork | None = None  # made when a read brings several messages for the first time

    def read(self, until: float | None) -> bool:
        """Read once, or process the end of the stream. Return False if it is later than `until`."""
        if current.cork is not None:
            uncork()
        if self._transport.state is CLOSED:
            return True
        incoming = self.incoming
        if incoming.end is not None:
            return self._on_end(incoming.end, until)
        if (data := self._receive(incoming.read_size, until)) is None:
            return False
        incoming.feed(data)
        if len(self.messages) > 1:
            if self._cork is None:
                self._cork = Cork(self._writer, self.messages)
            self._cork.begin()
        return True

    def read_soon(self, until: float | None) -> bool:
        """Like `read`, for an answer that a peer near by sends at once: poll for a moment before waiting."""
        if current.cork is not None:
            uncork()
        poll_until = monotonic() + _POLL_TIMEOUT
        while self._is_silent() and monotonic() < poll_until:
            _give_way()
        return self.read(until)

    def _is_silent(self) -> bool:
        """Return True if the stream is open, and nothing has arrived."""
        return self._transport.state is not CLOSED and self.incoming.end is None and not self._stream.wait(0.0)

    def read_to_end(self, until: float | None) -> bool:
        """Read and drop everything until the end of the stream. Return False if it is later than `until`."""
        assert self.reader_lock.is_held_by_caller()
        while data := self._receive(LARGE_READ, until):
            pass
        return data is not None

    def read_available(self, max_bytes: int, on_end: Callable[[EndOfStream], None]) -> None:
        """Read what has arrived, unless another thread reads or messages of `max_bytes` in all are waiting. Never waits.

        `on_end` is called if the stream has ended and no messages are waiting.
        """
        if not self.reader_lock.lock.acquire(blocking=False):
            return
        try:
            incoming = self.incoming
            if incoming.end is None and sum(map(len, self.messages.copy())) < max_bytes:
                try:
                    data = self._stream.recv_now(LARGE_READ)
                except OSError:
                    data = b""
                if data is not None:
                    incoming.feed(data)
            if incoming.end is not None and not self.messages:
                on_end(incoming.end)
        finally:
            self.reader_lock.lock.release()
            self.reader_lock.notify_waiters()

    def _receive(self, max_bytes: int, until: float | None) -> bytes | None:
        """Wait for bytes. Return b"" at the end of the stream, and None if it is later than `until`."""
        try:
            # Without a limit, the kernel's call alone: every message to a handler comes this way.
            return self._stream.recv(max_bytes) if until is None else recv_until(self._stream, max_bytes, until)
        except OSError as error:
            if was_interrupted(error):
                raise
            return b""
