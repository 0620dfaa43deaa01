"""The incoming side of one WebSocket: messages, replies to pings, and the end of the stream. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from wschat.connection.pings import Pings
from wschat.errors import ProtocolViolation
from wschat.limits import Limits
from wschat.protocol.deflate import Inflater
from wschat.protocol.encoding import Encoding
from wschat.protocol.frames import CloseCode, Opcode
from wschat.protocol.messages import Close, MessageReader, Ping, Pong

# The sizes of a read, in bytes. Small while little comes, because a thread that waits in a read holds a buffer of that size. Python's
# own allocator serves objects of up to 512 bytes, this buffer included, in half the time.
SMALL_READ: Final = 472
LARGE_READ: Final = 64 * 1024
_READ_GROWTH: Final = 16

EndOfStream = Close | ProtocolViolation | EOFError
"""How a stream ends: with the peer's close frame, with a violation of the protocol, or without either."""


class Incoming:
    """The state of one incoming stream. For the thread that reads; `messages` may be read and emptied by any thread."""

    __slots__ = (
        "_control_frames",
        "_encoding",
        "_max_control_frames",
        "_pings",
        "_reader",
        "_second_ends",
        "_send_pongs",
        "bytes_received",
        "end",
        "messages",
        "read_size",
    )

    def __init__(
        self, limits: Limits, encoding: Encoding, inflater: Inflater | None, pings: Pings, send_pongs: Callable[[list[bytes]], None]
    ) -> None:
        """`encoding` is that of the frames we send; `send_pongs` is called with pong frames and must not wait."""
        self._reader = MessageReader(
            masked=not encoding.masks, max_bytes=limits.max_message_bytes, max_fragments=limits.max_fragments, inflater=inflater
        )
        self._pings = pings
        self._encoding = encoding
        self._send_pongs = send_pongs
        self._max_control_frames = limits.max_control_frames_per_second
        self._control_frames = 0  # received in the second that ends at `_second_ends`
        self._second_ends = 0.0
        self.messages = self._reader.messages
        """The messages not received yet, the oldest first."""
        self.end: EndOfStream | None = None
        """How the stream ends; None before. It takes effect after the messages before it."""
        self.bytes_received = 0
        """Bytes read from the peer."""
        self.read_size = SMALL_READ
        """The bytes that the next read should ask for."""

    def feed(self, data: bytes) -> None:
        """Process the bytes of one read; b"" is the end of the stream."""
        if not data:
            self.end = EOFError()
            return
        self.bytes_received += len(data)
        self._pings.has_received = True
        if len(data) == self.read_size:
            self.read_size = min(self.read_size * _READ_GROWTH, LARGE_READ)
        elif len(data) * _READ_GROWTH < self.read_size:
            self.read_size = SMALL_READ
        try:
            self._reader.feed(data)
        except ProtocolViolation as violation:
            self.end = violation
        if self._reader.control:
            self._process_control_frames()

    def _process_control_frames(self) -> None:
        control = self._reader.control
        if self._are_too_many(len(control)):
            self.end = ProtocolViolation(CloseCode.POLICY_VIOLATION, "too many control frames")
            control.clear()
            return
        pongs = []
        for frame in control:
            if isinstance(frame, Pong):
                self._pings.receive_pong(frame.payload)
            elif isinstance(frame, Ping):
                pongs.append(self._encoding.frame(Opcode.PONG, frame.payload))
            else:
                self.end = frame
        if pongs:
            self._send_pongs(pongs)
        control.clear()

    def _are_too_many(self, frames: int) -> bool:
        """Count control frames. Return True if there are too many in this second."""
        now = monotonic()
        if now >= self._second_ends:
            self._second_ends = now + 1
            self._control_frames = 0
        self._control_frames += frames
        return 0 < self._max_control_frames < self._control_frames
