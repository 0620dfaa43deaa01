"""The encoding of whole messages without reference to earlier ones, so that the bytes can be sent to many peers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from wschat.errors import UsageError
from wschat.protocol.deflate import Deflater
from wschat.protocol.frames import Opcode, encode_close, encode_frame, new_masking_key

# Smaller messages gain too little by compression.
MIN_BYTES_TO_DEFLATE: Final = 256

# The headers of the most frequent frames: unmasked texts that are too short to be compressed.
_SHORT_TEXT_HEADERS: Final = [
    encode_frame(Opcode.TEXT, bytes(length)).removesuffix(bytes(length)) for length in range(MIN_BYTES_TO_DEFLATE)
]

# Pings with a number as their payload: the header, the masking key, the number.
_PING, _MASKED_PING = struct.Struct("!HI"), struct.Struct("!HII")
_PING_HEADER, _MASKED_PING_HEADER = 0x8904, 0x8984


def payload_of(message: object) -> tuple[Opcode, bytes]:
    """Return the opcode and the payload of a message: text for str, binary for bytes, bytearray and memoryview.

    Raises UsageError for any other object.
    """
    if isinstance(message, str):
        try:
            return Opcode.TEXT, message.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the text cannot be sent: {error}") from None
    if isinstance(message, bytes):
        return Opcode.BINARY, message
    if isinstance(message, (bytearray, memoryview)):
        return Opcode.BINARY, bytes(message)
    raise UsageError(f"a message must be str or bytes, not {type(message).__name__}")


def encode_fragments(parts: Iterable[object], *, masks: bool) -> Iterator[bytes]:
    """Yield the frames of a fragmented message, one for each part (RFC 6455, section 5.4).

    Raises UsageError at a part that is not of the same type, text or binary, as the first.
    """
    kind: Opcode | None = None
    opcode = Opcode.CONTINUATION
    pending: bytes | None = None  # the last part: if there is no next one, it is final
    for part in parts:
        part_kind, payload = payload_of(part)
        if kind is None:
            kind = opcode = part_kind
        elif part_kind != kind:
            raise UsageError("the parts of a message must be all text or all binary")
        if pending is not None:
            yield encode_frame(opcode, pending, fin=False, key=new_masking_key() if masks else None)
            opcode = Opcode.CONTINUATION
        pending = payload
    if pending is not None:
        yield encode_frame(opcode, pending, key=new_masking_key() if masks else None)


class Encoding(NamedTuple):
    """How one side of a connection encodes its messages. Connections with equal encodings can be sent the same bytes.

    A tuple, because a broadcast looks up the encoding of every member, and tuples are hashed and compared in C.
    """

    masks: bool
    """True for a client, which must mask (RFC 6455, section 5.3)."""
    window_bits: int
    """The window of the compression, or 0 if messages are not compressed."""

    def encode(self, message: object) -> bytes:
        """Return a message as one frame. Raises UsageError if it is not a message."""
        opcode, payload = payload_of(message)
        if self.window_bits and len(payload) >= MIN_BYTES_TO_DEFLATE:
            return self.compressed_frame(opcode, payload, Deflater(self.window_bits, keep_context=False))
        return self.frame(opcode, payload)

    def frame(self, opcode: Opcode, payload: bytes) -> bytes:
        """Return a whole, uncompressed frame."""
        return encode_frame(opcode, payload, key=new_masking_key() if self.masks else None)

    def ping_frame(self, number: int) -> bytes:
        """Return a ping whose payload is a number of 32 bits (RFC 6455, section 5.5.2). Faster than `frame`, for short round trips."""
        if self.masks:
            key = int.from_bytes(new_masking_key(), "big")
            return _MASKED_PING.pack(_MASKED_PING_HEADER, key, key ^ number)
        return _PING.pack(_PING_HEADER, number)

    def close_frame(self, code: int, reason: str) -> bytes:
        """Return a close frame with this code and as much of the reason as fits (RFC 6455, section 5.5.1)."""
        return self.frame(Opcode.CLOSE, encode_close(code, reason))

    def compressed_frame(self, opcode: Opcode, payload: bytes, deflater: Deflater) -> bytes:
        """Return a whole frame, compressed with the context of this deflater."""
        return encode_frame(opcode, deflater.deflate(payload), rsv1=True, key=new_masking_key() if self.masks else None)

    def encoder(self) -> Callable[[object], bytes]:
        """Return the fastest function that does what `encode` does."""
        return self.encode if self.masks else self._encode_unmasked

    def _encode_unmasked(self, message: object) -> bytes:
        if type(message) is str:
            try:
                payload = message.encode()
                return _SHORT_TEXT_HEADERS[len(payload)] + payload
            except (IndexError, UnicodeEncodeError):
                pass
        return self.encode(message)
