"""Messages out of bytes (RFC 6455, sections 5 and 7): frames, fragments, UTF-8, control frames and the close.

No socket, no thread, no clock: bytes go in by `feed`, and what they mean is there to be taken.
"""

from __future__ import annotations

import codecs
import struct
from collections import deque
from typing import NamedTuple

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

_FIN_TEXT = FIN | Opcode.TEXT
_DATA_OPCODES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION})
_CONTROL_OPCODES = frozenset({Opcode.CLOSE, Opcode.PING, Opcode.PONG})
_UNLIMITED = 1 << 62  # more than any frame can be, and still a size that C code takes


class Ping(NamedTuple):
    """A ping, which is to be answered with a pong of the same payload (RFC 6455, section 5.5.2)."""

    payload: bytes


class Pong(NamedTuple):
    """A pong: the answer to a ping, or unasked for (RFC 6455, section 5.5.3)."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame (RFC 6455, section 5.5.1); the code is 1005 where it carries none."""

    code: int
    reason: str


class MessageReader:
    """Turns the bytes of one direction of one connection into messages.

    After `feed`, complete messages wait in `messages` (str for text, bytes for binary) and control frames in `control`;
    whoever calls takes them out. However the bytes are cut, the same messages and control frames come out. What follows
    a close frame is ignored.

    `masked` says whether the peer has to mask (it is a client). `max_bytes` bounds a message after inflation and
    `max_fragments` the frames it may come in; 0 lifts either. `inflater` is there if permessage-deflate was agreed on.
    """

    __slots__ = (
        "_chunks",
        "_fragmented",
        "_inflater",
        "_is_over",
        "_mask_bit",
        "_max_bytes",
        "_max_fragments",
        "_max_short_bytes",
        "_max_simple_bytes",
        "_missing",
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
        self._chunks: list[bytes] = []  # of the frame that is not whole yet
        self._missing = 0  # bytes until it is worth looking at them again
        self._max_short_bytes = min(MAX_CONTROL_PAYLOAD, self._max_bytes)
        self._max_simple_bytes = self._max_short_bytes  # a text that is the next whole message; none is within a fragmented one
        self._fragmented: _Fragments | None = None  # the message that is not whole yet
        self._is_over = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises ProtocolViolation at the first frame that is wrong; what came before it has been handed out by then. The rest
        of the stream has no meaning after that, so nothing more may be fed.
        """
        if self._is_over:
            return
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        # This loop is most of what a message costs. Short, whole, uncompressed texts are dealt with right here, everything
        # else in `_read_frame`.
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
                    # What apply_mask does, to the key and the payload at once; calling it would cost as much again.
                    number = from_bytes(payload, "little")
                    number ^= (number & KEY_BITS) * KEY_REPEATER[length]
                    payload = number.to_bytes(KEY_REPEATER_BYTES[length], "little")[4 : length + 4]
                try:
                    append(payload.decode())
                except UnicodeDecodeError:
                    raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from None
            start = end
        if start < size:
            self._keep(data[start:], 2 - (size - start))

    def _read_frame(self, data: bytes, start: int) -> int:
        """Read the frame that begins there; where it ends, or 0 if it is not whole or nothing may follow it."""
        size = len(data)
        first = data[start]
        second = data[start + 1]
        length = second & LENGTH_BITS
        payload_at = start + 2
        self._check_head(first, second)
        if length > MAX_CONTROL_PAYLOAD:
            payload_at = start + (4 if length == LENGTH_IN_2_BYTES else 10)
            if payload_at > size:
                return self._keep(data[start:], payload_at - size)
            length = _long_length(data[start + 2 : payload_at])
        self._check_length(first, length)
        if self._mask_bit:
            payload_at += 4
        end = payload_at + length
        if end > size:
            return self._keep(data[start:], end - size)
        payload = data[payload_at:end]
        if self._mask_bit:
            payload = apply_mask(payload, data[payload_at - 4 : payload_at])
        self._take_frame(first, payload)
        return 0 if self._is_over else end

    def _keep(self, start_of_frame: bytes, missing: int) -> int:
        """Remember the frame that is not whole, and how much more of it makes another look worthwhile."""
        self._chunks.append(start_of_frame)
        self._missing = missing
        return 0

    def _check_head(self, first: int, second: int) -> None:
        """What the first two bytes of a frame already tell (RFC 6455, sections 5.2, 5.4 and 5.5)."""
        opcode = first & OPCODE_BITS
        if opcode not in _DATA_OPCODES and opcode not in _CONTROL_OPCODES:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if first & RSV2_RSV3:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "reserved bit set")
        if first & RSV1 and (self._inflater is None or opcode not in (Opcode.TEXT, Opcode.BINARY)):
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "reserved bit set")
        if second & MASK_BIT != self._mask_bit:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "frame is not masked" if self._mask_bit else "frame is masked")
        if opcode & CONTROL_BIT:
            if not first & FIN:
                raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
            if second & LENGTH_BITS > MAX_CONTROL_PAYLOAD:
                raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "control frame is too long")
        elif opcode == Opcode.CONTINUATION and self._fragmented is None:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "continuation of nothing")
        elif opcode != Opcode.CONTINUATION and self._fragmented is not None:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "new message inside a fragmented one")

    def _check_length(self, first: int, length: int) -> None:
        """Refuse a message that is going to be too big before its bytes are buffered."""
        if length >> 63:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "frame length has its highest bit set")
        if first & CONTROL_BIT:
            return
        message = self._fragmented
        if first & RSV1 or (message is not None and message.inflater is not None):
            # Deflate may lengthen what cannot be compressed, by far less than this.
            room = self._max_bytes + self._max_bytes // 16 + 64
            before = message.received if message is not None else 0
        else:
            room = self._max_bytes
            before = message.size if message is not None else 0
        if before + length > room:
            raise ProtocolViolation(CloseCode.TOO_BIG, "message is too big")

    def _take_frame(self, first: int, payload: bytes) -> None:
        opcode = first & OPCODE_BITS
        if opcode & CONTROL_BIT:
            self._take_control(opcode, payload)
            return
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

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.PING:
            self.control.append(Ping(payload))
        elif opcode == Opcode.PONG:
            self.control.append(Pong(payload))
        else:
            self.control.append(_read_close(payload))
            self._is_over = True


class _Fragments:
    """One message that comes in several frames, or compressed: joined as it comes, so that its size bounds its memory."""

    __slots__ = ("_data", "_decoder", "_max_bytes", "_texts", "count", "inflater", "received", "size")

    def __init__(self, is_text: bool, inflater: Inflater | None, max_bytes: int) -> None:
        self.inflater = inflater
        self.count = 0
        self.received = 0  # bytes as they came
        self.size = 0  # bytes after inflation
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
                self._decoder.decode(payload, final)  # text that is wrong ends the connection at once, not with its last fragment
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
