"""Decoding: messages and control frames from the bytes of a stream (RFC 6455, sections 5 and 7). No sockets, threads or clocks."""

from __future__ import annotations

import codecs
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from wschat.errors import ProtocolViolation
from wschat.protocol.deflate import Inflater
from wschat.protocol.frames import (
    CONTROL_BIT,
    FIN,
    KEY_BITS,
    KEY_REPEATER,
    KEY_REPEATER_BYTES,
    LENGTH_BITS,
    LENGTH_IN_2_BYTES,
    MASK_BIT,
    MAX_CONTROL_PAYLOAD,
    OPCODE_BITS,
    RSV1,
    RSV2_RSV3,
    CloseCode,
    Opcode,
    apply_mask,
    is_sendable_close_code,
)

_FIN_TEXT: Final[int] = FIN | Opcode.TEXT
_DATA_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION})
_CONTROL_OPCODES = frozenset({Opcode.CLOSE, Opcode.PING, Opcode.PONG})
# The first bytes that a frame may have between two messages, between two of which some may be compressed, and within a fragmented one.
_CONTROL_FRAMES = frozenset(FIN | opcode for opcode in _CONTROL_OPCODES)
_NEXT_MESSAGE = _CONTROL_FRAMES | {fin | opcode for fin in (0, FIN) for opcode in (Opcode.TEXT, Opcode.BINARY)}
_NEXT_COMPRESSED_MESSAGE = _NEXT_MESSAGE | {first | RSV1 for first in _NEXT_MESSAGE - _CONTROL_FRAMES}
_NEXT_FRAGMENT = _CONTROL_FRAMES | {Opcode.CONTINUATION, FIN | Opcode.CONTINUATION}
_UNLIMITED: Final = 1 << 62  # more than the size of any frame, and still a size for C code


class Ping(NamedTuple):
    """A ping, to be answered with a pong of the same payload (RFC 6455, section 5.5.2)."""

    payload: bytes


class Pong(NamedTuple):
    """A pong: the answer to a ping, or an unsolicited one (RFC 6455, section 5.5.3)."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame (RFC 6455, section 5.5.1). The code is 1005 if the frame has none."""

    code: int
    reason: str


class MessageReader:
    """Decodes the stream of one peer. Not thread-safe.

    `feed` appends complete messages to `messages` (str for text, bytes for binary) and control frames to `control`, from which
    the caller removes them. The result does not depend on how the bytes are divided. Bytes after a close frame are ignored.

    `masked` is True if the peer is a client, whose frames must be masked. `max_bytes` is the limit for a message after decompression,
    and `max_fragments` for its frames; 0 means no limit. `inflater` is given if permessage-deflate was negotiated.
    """

    __slots__ = (
        "_chunks",
        "_first_bytes",
        "_fragmented",
        "_has_close",
        "_inflater",
        "_mask_bit",
        "_max_bytes",
        "_max_fragments",
        "_max_short_bytes",
        "_max_simple_bytes",
        "_missing",
        "_next_message",
        "control",
        "messages",
    )

    def __init__(self, *, masked: bool, max_bytes: int = 0, max_fragments: int = 0, inflater: Inflater | None = None) -> None:
        self.messages: deque[str | bytes] = deque()
        self.control: list[Ping | Pong | Close] = []
        self._mask_bit = MASK_BIT if masked else 0
        self._max_bytes = max_bytes or _UNLIMITED
        self._max_fragments = max_fragments or _UNLIMITED
        self._inflater = inflater
        self._chunks: list[bytes] = []  # of the incomplete frame
        self._missing = 0  # the bytes that must come before another look at `_chunks` is worthwhile
        self._max_short_bytes = min(MAX_CONTROL_PAYLOAD, self._max_bytes)
        self._max_simple_bytes = self._max_short_bytes  # -1 within a fragmented message, in which no whole text may come
        self._next_message = _NEXT_MESSAGE if inflater is None else _NEXT_COMPRESSED_MESSAGE
        self._first_bytes = self._next_message  # those that the next frame may have
        self._fragmented: _Fragments | None = None  # the incomplete message
        self._has_close = False  # a close frame was received

    def feed(self, data: bytes) -> None:
        """Decode the next bytes of the stream.

        Raises ProtocolViolation at the first invalid frame; the messages before it are in `messages`. Nothing more may be fed after that.
        """
        if self._has_close:
            return
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        # Most of the time of a message is spent in this loop. Short, whole, uncompressed texts are decoded here, all other frames in
        # `_read_frame`.
        mask_bit = self._mask_bit
        head_size = 6 if mask_bit else 2
        append = self.messages.append
        from_bytes = int.from_bytes
        size = len(data)
        last = size - 1
        start = 0
        while start < last:
            length = data[start + 1] ^ mask_bit
            end = start + head_size + length
            if data[start] != _FIN_TEXT or length > self._max_simple_bytes or end > size:
                end = self._read_frame(data, start)
                if not end:
                    return
            else:
                payload = data[start + 2 : end]
                if mask_bit:
                    # Like `apply_mask`, for the key and the payload together; a call would take as much time again.
                    number = from_bytes(payload, "little")
                    number ^= (number & KEY_BITS) * KEY_REPEATER[length]
                    payload = number.to_bytes(KEY_REPEATER_BYTES[length], "little")[4 : length + 4]
                try:
                    append(payload.decode())
                except UnicodeDecodeError:
                    raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from None
            start = end
        if start < size:
            self._store_incomplete(data[start:], 2 - (size - start))

    def _read_frame(self, data: bytes, start: int) -> int:
        """Decode the frame at `start`. Return where it ends, or 0 if it is incomplete or nothing may follow it."""
        size = len(data)
        first = data[start]
        second = data[start + 1]
        length = second & LENGTH_BITS
        payload_at = start + 2
        is_control = first & CONTROL_BIT
        if first not in self._first_bytes or second & MASK_BIT != self._mask_bit or (is_control and length > MAX_CONTROL_PAYLOAD):
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, self._explain_head(first, second))
        if length > MAX_CONTROL_PAYLOAD:
            payload_at = start + (4 if length == LENGTH_IN_2_BYTES else 10)
            if payload_at > size:
                return self._store_incomplete(data[start:], payload_at - size)
            length = _long_length(data[start + 2 : payload_at])
        if not is_control:
            self._check_length(first, length)
        if self._mask_bit:
            payload_at += 4
        end = payload_at + length
        if end > size:
            return self._store_incomplete(data[start:], end - size)
        payload = data[payload_at:end]
        if self._mask_bit:
            payload = apply_mask(payload, data[payload_at - 4 : payload_at])
        if is_control:
            self.control.append(_CONTROL[first](payload))
            self._has_close = first == _FIN_CLOSE
            return 0 if self._has_close else end
        self._process_data_frame(first, payload)
        return end

    def _store_incomplete(self, start_of_frame: bytes, missing: int) -> int:
        """Store an incomplete frame, and how many bytes more make another look worthwhile."""
        self._chunks.append(start_of_frame)
        self._missing = missing
        return 0

    def _explain_head(self, first: int, second: int) -> str:
        """Return what is wrong with the first two bytes of a frame (RFC 6455, sections 5.2, 5.4 and 5.5)."""
        opcode = first & OPCODE_BITS
        if opcode not in _DATA_OPCODES and opcode not in _CONTROL_OPCODES:
            return f"unknown opcode {opcode}"
        if first & RSV2_RSV3 or (first & RSV1 and (self._inflater is None or opcode not in (Opcode.TEXT, Opcode.BINARY))):
            return "reserved bit set"
        if second & MASK_BIT != self._mask_bit:
            return "frame is not masked" if self._mask_bit else "frame is masked"
        if opcode & CONTROL_BIT:
            return "control frame is too long" if first & FIN else "fragmented control frame"
        return "continuation of nothing" if opcode == Opcode.CONTINUATION else "new message inside a fragmented one"

    def _check_length(self, first: int, length: int) -> None:
        """Refuse a message that will be too big before its bytes are buffered."""
        if length >> 63:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "frame length has its highest bit set")
        message = self._fragmented
        if first & RSV1 or (message is not None and message.inflater is not None):
            # Compression may make a payload longer, but by far less than this.
            room = self._max_bytes + self._max_bytes // 16 + 64
            before = message.received if message is not None else 0
        else:
            room = self._max_bytes
            before = message.size if message is not None else 0
        if before + length > room:
            raise ProtocolViolation(CloseCode.TOO_BIG, "message is too big")

    def _process_data_frame(self, first: int, payload: bytes) -> None:
        opcode = first & OPCODE_BITS
        fin = bool(first & FIN)
        message = self._fragmented
        if message is None:
            if fin and not first & RSV1:
                self.messages.append(payload if opcode == Opcode.BINARY else _decode(payload))
                return
            message = _Fragments(opcode == Opcode.TEXT, self._inflater if first & RSV1 else None, self._max_bytes)
        message.add(payload, fin)
        if not fin and message.count >= self._max_fragments:
            raise ProtocolViolation(CloseCode.POLICY_VIOLATION, "too many fragments")
        if fin:
            self.messages.append(message.join())
        self._fragmented = None if fin else message
        self._max_simple_bytes = self._max_short_bytes if fin else -1
        self._first_bytes = self._next_message if fin else _NEXT_FRAGMENT


class _Fragments:
    """An incomplete message that is fragmented or compressed. Its parts are joined at once, so that its memory is bounded by its size."""

    __slots__ = ("_data", "_decoder", "_max_bytes", "_texts", "count", "inflater", "received", "size")

    def __init__(self, is_text: bool, inflater: Inflater | None, max_bytes: int) -> None:
        self.inflater = inflater
        self.count = 0
        self.received = 0  # bytes as received
        self.size = 0  # bytes after decompression
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None

    def add(self, payload: bytes, final: bool) -> None:
        self.count += 1
        self.received += len(payload)
        if self.inflater is not None:
            payload = self.inflater.inflate(payload, self._max_bytes - self.size, final)
        self.size += len(payload)
        self._data += payload
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)  # invalid text is found at once, not with the last fragment
            except UnicodeDecodeError:
                raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from None

    def join(self) -> str | bytes:
        return bytes(self._data) if self._decoder is None else self._data.decode()


def _long_length(field: bytes) -> int:
    length = int.from_bytes(field, "big")
    if length <= (MAX_CONTROL_PAYLOAD if len(field) == 2 else 0xFFFF):
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "frame length takes more bytes than it needs")
    return length


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from None


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(CloseCode.NO_STATUS, "")
    if len(payload) == 1:
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "close frame of one byte")
    (code,) = struct.unpack_from("!H", payload)
    if not is_sendable_close_code(code):
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, f"invalid close code {code}")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise ProtocolViolation(CloseCode.INVALID_DATA, "close reason is not UTF-8") from None


_FIN_CLOSE = FIN | Opcode.CLOSE
_CONTROL: dict[int, Callable[[bytes], Ping | Pong | Close]] = {
    FIN | Opcode.PING: Ping,
    FIN | Opcode.PONG: Pong,
    _FIN_CLOSE: _read_close,
}
