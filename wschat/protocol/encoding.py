"""Whole messages as bytes, with no reference to anything said before: what can be made once and sent to many."""

from __future__ import annotations

import os
from typing import NamedTuple

from wschat.errors import UsageError
from wschat.protocol.deflate import Deflater
from wschat.protocol.frames import Opcode, encode_frame

# Below this a message gains nothing by compression that would be worth its cost.
MIN_BYTES_TO_DEFLATE = 256


def payload_of(message: object) -> tuple[Opcode, bytes]:
    """What a message is on the wire: text for str, binary for bytes and the like. Raises UsageError for anything else."""
    if isinstance(message, str):
        try:
            return Opcode.TEXT, message.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"not a text that can be sent: {error}") from None
    if isinstance(message, bytes):
        return Opcode.BINARY, message
    if isinstance(message, (bytearray, memoryview)):
        return Opcode.BINARY, bytes(message)
    raise UsageError(f"a message is str or bytes, not {type(message).__name__}")


class Encoding(NamedTuple):
    """How a side encodes its messages. Two connections with equal encodings can be sent the same bytes."""

    masks: bool
    """Whether it is a client, which must mask (RFC 6455, section 5.3)."""
    window_bits: int
    """What it compresses with, or 0 if it does not compress."""

    def encode(self, opcode: Opcode, payload: bytes) -> bytes:
        """The frame of one whole message."""
        key = os.urandom(4) if self.masks else None
        if self.window_bits and len(payload) >= MIN_BYTES_TO_DEFLATE:
            payload = Deflater(self.window_bits, keep_context=False).deflate(payload)
            return encode_frame(opcode, payload, rsv1=True, key=key)
        return encode_frame(opcode, payload, key=key)
