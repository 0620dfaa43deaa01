"""Functions that build valid and invalid frames, and read streams of frames.

Nothing here uses wschat's own encoder, so that the encoder is not tested with itself.
"""

from __future__ import annotations

import itertools
import operator
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from wschat.errors import ProtocolViolation
from wschat.protocol.deflate import Deflate
from wschat.protocol.messages import MessageReader

# The first byte of a frame that is the last of its message: FIN and the opcode.
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x81, 0x82, 0x88, 0x89, 0x8A, 0x80
# The first byte of a frame that is not the last of its message, and the bit of a compressed message (RSV1).
TEXT_PART, BINARY_PART, CONTINUATION_PART = 0x01, 0x02, 0x00
COMPRESSED = 0x40

KEY = b"\x9a\x01\xf0\x3c"
# The bytes that are removed from the end of a compressed message (RFC 7692, section 7.2.1).
DEFLATE_TAIL = b"\x00\x00\xff\xff"

Frame = tuple[int, bytes]


def head(first: int, length: int, *, masked: bool, field: int | None = None) -> bytes:
    """The header of a frame without its masking key; `field` forces an extended length of 2 or 8 bytes."""
    if field is None:
        field = 0 if length <= 125 else 2 if length <= 65535 else 8
    short = {0: length, 2: 126, 8: 127}[field]
    return bytes((first, short | (0x80 if masked else 0))) + length.to_bytes(field or 8, "big")[: field or 0]


def frame(first: int, payload: bytes = b"", *, masked: bool, key: bytes = KEY) -> bytes:
    """One whole frame."""
    if not masked:
        return head(first, len(payload), masked=False) + payload
    return head(first, len(payload), masked=True) + key + xor(payload, key)


def xor(payload: bytes, key: bytes) -> bytes:
    """Masking exactly as in RFC 6455, section 5.3."""
    return bytes(map(operator.xor, payload, itertools.cycle(key)))


def stream(frames: Iterable[Frame], *, masked: bool) -> bytes:
    """The bytes of several frames."""
    return b"".join(frame(first, payload, masked=masked) for first, payload in frames)


def deflated(payload: bytes) -> bytes:
    """The payload of a message compressed without context (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(DEFLATE_TAIL)


class Outcome(NamedTuple):
    """What a reader made of a stream. A control frame is its name and its fields, a violation is its close code."""

    messages: list[str | bytes]
    control: list[tuple[str | bytes | int, ...]]
    violation: int | None = None


def read(chunks: Iterable[bytes], *, masked: bool, max_bytes: int = 0, max_fragments: int = 0, deflate: Deflate | None = None) -> Outcome:
    """Read a stream that arrives in these chunks; with `masked`, it is from a client."""
    inflater = deflate.inflater(is_client=not masked) if deflate else None
    reader = MessageReader(masked=masked, max_bytes=max_bytes, max_fragments=max_fragments, inflater=inflater)
    violation = None
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except ProtocolViolation as error:
        violation = error.code
    return Outcome(list(reader.messages), [(type(control).__name__, *control) for control in reader.control], violation)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Split bytes at these offsets; offsets outside of the bytes are ignored."""
    places = [0, *sorted(cut for cut in cuts if 0 <= cut <= len(data)), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def bytewise(data: bytes) -> list[bytes]:
    """Split bytes into single bytes."""
    return pieces(data, range(1, len(data)))
