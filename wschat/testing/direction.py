"""One direction of a connection that a fault proxy forwards: bytes from one socket to another, with faults on the way.

All faults but silence act on bytes as they are read. What is left of them waits in a queue of segments.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from enum import Enum
from random import Random
from time import monotonic
from typing import TypeVar

from wschat.testing.frames import CloseFinder

Number = TypeVar("Number", int, float)

_READ_BYTES = 64 * 1024
# The bytes that may wait in one direction. Above it, nothing more is read, so that the sender finds its peer slow.
_MAX_WAITING_BYTES = 1 << 20


class End(Enum):
    """How a direction ends, in the place of a segment."""

    FIN = "end of the stream"
    """No more bytes come in this direction (a TCP FIN)."""
    CUT = "cut"
    """The connection is closed in both directions."""
    RESET = "reset"
    """The connection is reset in both directions (a TCP RST)."""


class Direction:
    """Bytes from `source` to `target`, both non-blocking. For the thread of the proxy."""

    def __init__(self, name: str, source: socket.socket, target: socket.socket, seed: str, note: Callable[[str], None]) -> None:
        """`note` is called with a description of each fault as it takes effect."""
        self.name = name
        self.source = source
        self.target = target
        self.random = Random(f"{seed} {name}")
        """Draws the numbers of this direction, so that they do not depend on the other."""
        self._note = note
        self._waiting: deque[tuple[float, bytes | End]] = deque()  # segments, and the time before which none is written
        self._waiting_bytes = 0
        self._read_bytes = 0  # since the connection was accepted
        self._closes = CloseFinder()
        self._has_read_end = False
        self._drops_rest = False
        self.is_blocked = False
        """True while the target takes no more bytes. The proxy sets it to False once it does."""
        self.on_read: Callable[[bytes], None] = lambda data: None
        """Called with bytes as the source has sent them, and with b"" at their end."""
        self.on_written: Callable[[bytes], None] = lambda data: None
        """Called with bytes as the target receives them, and with b"" at their end."""
        self.clear()

    def clear(self) -> None:
        """Remove the faults, so that what waits is forwarded at once. What was cut or dropped stays so."""
        self._waiting = deque((0.0, segment) for _, segment in self._waiting)
        self.is_silent = False
        """True to forward nothing."""
        self.delay = (0.0, 0.0)
        """The range of seconds that bytes are late."""
        self.segment: tuple[int, int] | None = None
        """The range of sizes of the segments; None for as they come."""
        self.drops_close = False
        """True to drop a close frame and all that follows it."""
        self._flips: set[int] = set()
        self._cut: tuple[int, End] | None = None

    def flip_after(self, size: int) -> None:
        """Flip one bit of the byte that follows the next `size` bytes."""
        self._flips.add(self._read_bytes + size)

    def end_after(self, size: int, end: End) -> None:
        """End the direction after the next `size` bytes."""
        self._cut = self._read_bytes + size, end
        if not size:
            self._queue_end()

    def drop_rest(self) -> None:
        """Forward nothing more, not even the end."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._drops_rest = True

    def is_over(self) -> bool:
        """Return True if all has been read and forwarded or dropped."""
        return self._has_read_end and not self._waiting

    # Reading

    def wants_to_read(self) -> bool:
        """Return True if the source is to be read as soon as it has bytes."""
        return not self._has_read_end and (self._drops_rest or (not self.is_silent and self._waiting_bytes < _MAX_WAITING_BYTES))

    def read(self) -> None:
        """Read from the source without waiting. Raises OSError if the source has gone without an end of its stream."""
        try:
            data = self.source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        self.on_read(data)
        if not data:
            self._has_read_end = True
            if not self._drops_rest:
                self._queue(End.FIN)
        elif not self._drops_rest:
            self._process(data)

    def _process(self, data: bytes) -> None:
        """Apply the faults to bytes that were read, and queue what is left of them."""
        close_at = self._closes.find(data)
        data = self._flipped(data)
        if self._cut is not None and self._cut[0] <= self._read_bytes + len(data):
            data = data[: self._cut[0] - self._read_bytes]
            self._queue_segments(data)
            self._queue_end()
        elif close_at is not None and self.drops_close:
            self._note(f"dropped a close frame {self.name}, and what follows")
            self._queue_segments(data[:close_at])
            self._drops_rest = True
        else:
            self._queue_segments(data)
        self._read_bytes += len(data)

    def _flipped(self, data: bytes) -> bytes:
        for at in sorted(self._flips):
            index = at - self._read_bytes
            if index < len(data):
                self._flips.discard(at)
                bit = 1 << self.random.randrange(8)
                self._note(f"flipped bit {bit:#04x} of byte {at} {self.name}")
                data = data[:index] + bytes((data[index] ^ bit,)) + data[index + 1 :]
        return data

    def _queue_segments(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            size = len(data) if self.segment is None else drawn(self.random, self.segment)
            self._queue(data[at : at + size])
            at += size

    def _queue_end(self) -> None:
        assert self._cut is not None
        self._queue(self._cut[1])
        self._cut, self._drops_rest = None, True

    def _queue(self, segment: bytes | End) -> None:
        earliest = self._waiting[-1][0] if self._waiting else 0.0  # none overtakes another
        self._waiting.append((max(earliest, monotonic() + drawn(self.random, self.delay)), segment))
        self._waiting_bytes += 0 if isinstance(segment, End) else len(segment)

    # Writing

    def due(self) -> float | None:
        """Return the time at which there is something to write, or None if nothing is or the target takes nothing."""
        return self._waiting[0][0] if self._waiting and not self.is_silent and not self.is_blocked else None

    def write(self) -> End | None:
        """Write what is due, as far as the target takes it. Return CUT or RESET once it is time for that.

        Raises OSError if the target has gone.
        """
        now = monotonic()
        while (due := self.due()) is not None and due <= now:
            _, segment = self._waiting.popleft()
            if isinstance(segment, End):
                if segment is not End.FIN:
                    return segment
                self.target.shutdown(socket.SHUT_WR)
                self.on_written(b"")
                continue
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = self.target.send(segment)
                self.on_written(segment[:sent])
            self._waiting_bytes -= sent
            if sent < len(segment):
                self._waiting.appendleft((due, segment[sent:]))
                self.is_blocked = True
        return None


def drawn(random: Random, bounds: tuple[Number, Number]) -> Number:
    """Return a number from a range, bounds included."""
    low, high = bounds
    if low == high:
        return low
    return random.randint(low, high) if isinstance(low, int) and isinstance(high, int) else random.uniform(low, high)
