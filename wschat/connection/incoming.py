"""What comes from one peer: messages, the answers to pings, and what the stream ends with. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable

from wschat.connection.pings import Pings
from wschat.errors import ProtocolViolation
from wschat.limits import Limits
from wschat.protocol.deflate import Inflater
from wschat.protocol.encoding import Encoding
from wschat.protocol.frames import Opcode
from wschat.protocol.messages import Close, MessageReader, Ping, Pong

# What a read asks for: little while little comes, because a thread that waits holds a buffer of this size. Python's own
# allocator makes objects of up to 512 bytes, this one included, in half the time.
SMALL_READ = 472
LARGE_READ = 64 * 1024
_READ_GROWTH = 16

Verdict = Close | ProtocolViolation | EOFError
"""What a stream ends with: the peer's close frame, a violation of the protocol, or nothing more."""


class Incoming:
    """Only for the thread that reads; `messages` may be looked at and emptied by any."""

    __slots__ = ("_encoding", "_pings", "_reader", "_send_pongs", "bytes_received", "messages", "read_size", "verdict")

    def __init__(
        self, limits: Limits, encoding: Encoding, inflater: Inflater | None, pings: Pings, send_pongs: Callable[[list[bytes]], None]
    ) -> None:
        """`encoding` is how we send; `send_pongs` is called with frames in it that answer pings, and must not wait."""
        self._reader = MessageReader(
            masked=not encoding.masks, max_bytes=limits.max_message_bytes, max_fragments=limits.max_fragments, inflater=inflater
        )
        self._pings = pings
        self._encoding = encoding
        self._send_pongs = send_pongs
        self.messages = self._reader.messages
        """The messages that have not been received yet, the oldest first."""
        self.verdict: Verdict | None = None
        """What the stream ends with. It counts once the messages before it have been received."""
        self.bytes_received = 0
        self.read_size = SMALL_READ
        """How many bytes the next read asks for."""

    def take(self, data: bytes) -> None:
        """Take the bytes of one read; b"" is the end of the stream."""
        if not data:
            self.verdict = EOFError()
            return
        self.bytes_received += len(data)
        self._pings.has_heard = True
        if len(data) == self.read_size:
            self.read_size = min(self.read_size * _READ_GROWTH, LARGE_READ)
        elif len(data) * _READ_GROWTH < self.read_size:
            self.read_size = SMALL_READ
        try:
            self._reader.feed(data)
        except ProtocolViolation as violation:
            self.verdict = violation
        if self._reader.control:
            self._take_control()

    def _take_control(self) -> None:
        control = self._reader.control
        pongs = [self._encoding.frame(Opcode.PONG, frame.payload) for frame in control if isinstance(frame, Ping)]
        if pongs:
            self._send_pongs(pongs)
        for frame in control:
            if isinstance(frame, Pong):
                self._pings.answer(frame.payload)
            elif isinstance(frame, Close):
                self.verdict = frame
        control.clear()
