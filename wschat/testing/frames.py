"""The frames in a stream of bytes, found by their lengths alone: nothing is checked or decoded (RFC 6455, section 5.2)."""

from __future__ import annotations

from math import inf

from wschat.protocol.frames import FIN, LENGTH_BITS, LENGTH_IN_2_BYTES, LENGTH_IN_8_BYTES, MASK_BIT, Opcode

_LENGTH_BYTES = {LENGTH_IN_2_BYTES: 2, LENGTH_IN_8_BYTES: 8}
_KEY_BYTES = 4
_CLOSE = FIN | Opcode.CLOSE
_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD_BYTES = 64 * 1024


def frame_size(data: bytes | bytearray) -> int | None:
    """Return the size of the frame that begins with these bytes, or None if they are too few to tell."""
    if len(data) < 2:
        return None
    length = data[1] & LENGTH_BITS
    payload_at = 2 + _LENGTH_BYTES.get(length, 0)
    if len(data) < payload_at:
        return None
    if payload_at > 2:
        length = int.from_bytes(data[2:payload_at], "big")
    return payload_at + (_KEY_BYTES if data[1] & MASK_BIT else 0) + length


class FrameSplitter:
    """Divides the bytes of a stream into frames. Not thread-safe."""

    def __init__(self) -> None:
        self.incomplete = bytearray()
        """The beginning of the next frame."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that these bytes complete."""
        self.incomplete += data
        frames = []
        while (size := frame_size(self.incomplete)) is not None and size <= len(self.incomplete):
            frames.append(bytes(self.incomplete[:size]))
            del self.incomplete[:size]
        return frames


class CloseFinder:
    """Finds the first close frame in a direction of a connection, which begins with the head of an HTTP message. Not thread-safe."""

    def __init__(self) -> None:
        self._head = b""  # of the HTTP message while it is incomplete, then the incomplete header of a frame
        self._is_open = False
        self._left = 0.0  # bytes of the current frame that have not come yet

    def find(self, data: bytes) -> int | None:
        """Return the index at which a close frame begins in the next bytes of the stream, or None."""
        at = 0 if self._is_open else self._skip_opening(data)
        while at < len(data):
            if self._left:
                skipped = min(self._left, len(data) - at)
                self._left -= skipped
                at += int(skipped)
            elif not self._head and data[at] == _CLOSE:
                return at
            else:
                self._head += data[at : at + 1]
                at += 1
                size = frame_size(self._head)
                if size is not None:
                    self._left, self._head = size - len(self._head), b""
        return None

    def _skip_opening(self, data: bytes) -> int:
        """Return the index in the next bytes at which the frames begin."""
        before = len(self._head)
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0:
            if len(self._head) > _MAX_HEAD_BYTES:  # TLS, for example
                self._head, self._is_open, self._left = b"", True, inf
            return len(data)
        self._head, self._is_open = b"", True
        return end + len(_END_OF_HEAD) - before
