"""Whole messages as bytes, with no reference to anything said before: what can be made once and sent to many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from wschat.errors import UsageError
from wschat.protocol.deflate import Deflater
from wschat.protocol.frames import FIN, LENGTH_IN_2_BYTES, Opcode, encode_frame, new_masking_key

# Below this a message gains nothing by compression that would be worth its cost.
MIN_BYTES_TO_DEFLATE = 256

# The heads of what is sent most: unmasked texts that are too short to be compressed.
_SHORT_TEXT_HEADS = [bytes((FIN | Opcode.TEXT, length)) for length in range(LENGTH_IN_2_BYTES)]


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


def encode_fragments(parts: Iterable[object], *, masks: bool) -> Iterator[bytes]:
    """The frames of one message that comes in parts, a frame for each; none where there is no part (RFC 6455, section 5.4).

    Raises UsageError, when it comes to it, for a part that is not of the kind of the first.
    """
    kind: Opcode | None = None
    opcode = Opcode.CONTINUATION
    pending: bytes | None = None  # a part is the last one if there is no next
    for part in parts:
        part_kind, payload = payload_of(part)
        if kind is None:
            kind = opcode = part_kind
        elif part_kind != kind:
            raise UsageError("the parts of a message are all text or all binary")
        if pending is not None:
            yield encode_frame(opcode, pending, fin=False, key=new_masking_key() if masks else None)
            opcode = Opcode.CONTINUATION
        pending = payload
    if pending is not None:
        yield encode_frame(opcode, pending, key=new_masking_key() if masks else None)


class Encoding(NamedTuple):
    """How a side encodes its messages. Two connections with equal encodings can be sent the same bytes.

    A tuple, because a broadcast looks the encoding of every member up, and tuples are hashed and compared in C.
    """

    masks: bool
    """Whether it is a client, which must mask (RFC 6455, section 5.3)."""
    window_bits: int
    """What it compresses with, or 0 if it does not compress."""

    def encode(self, message: object) -> bytes:
        """The frame of one whole message. Raises UsageError if it is none."""
        opcode, payload = payload_of(message)
        if self.window_bits and len(payload) >= MIN_BYTES_TO_DEFLATE:
            return self.compressed_frame(opcode, payload, Deflater(self.window_bits, keep_context=False))
        return self.frame(opcode, payload)

    def frame(self, opcode: Opcode, payload: bytes) -> bytes:
        """A whole, uncompressed frame."""
        return encode_frame(opcode, payload, key=new_masking_key() if self.masks else None)

    def compressed_frame(self, opcode: Opcode, payload: bytes, deflater: Deflater) -> bytes:
        """A whole frame, compressed with what this deflater has seen before."""
        return encode_frame(opcode, deflater.deflate(payload), rsv1=True, key=new_masking_key() if self.masks else None)

    def encoder(self) -> Callable[[object], bytes]:
        """The quickest function that does what `encode` does."""
        return self.encode if self.masks else self._encode_unmasked

    def _encode_unmasked(self, message: object) -> bytes:
        if type(message) is str:
            try:
                payload = message.encode()
                return _SHORT_TEXT_HEADS[len(payload)] + payload
            except (IndexError, UnicodeEncodeError):
                pass
        return self.encode(message)
