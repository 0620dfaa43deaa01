"""Frames (RFC 6455, section 5.2): the constants of the protocol, masking, and encoding. Keeps no state.

Frames are decoded in `messages`.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from typing import Final

from wschat.errors import UsageError


class Opcode(IntEnum):
    """The type of a frame (RFC 6455, section 11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """The code of a close frame (RFC 6455, section 7.4.1, and the IANA registry)."""

    NORMAL = 1000
    """The purpose of the connection has been fulfilled."""
    GOING_AWAY = 1001
    """The server is stopping, or the browser has left the page."""
    PROTOCOL_ERROR = 1002
    """The peer has broken the protocol."""
    UNSUPPORTED_DATA = 1003
    """The endpoint does not accept this type of data."""
    NO_STATUS = 1005
    """The close frame had no code. Never sent."""
    ABNORMAL = 1006
    """The connection was lost without a close frame. Never sent."""
    INVALID_DATA = 1007
    """The data does not match the type of the message, such as text that is not UTF-8."""
    POLICY_VIOLATION = 1008
    """The message violates a policy of the endpoint."""
    TOO_BIG = 1009
    """The message is too large."""
    MANDATORY_EXTENSION = 1010
    """The server did not negotiate an extension that the client needs."""
    INTERNAL_ERROR = 1011
    """The server met an unexpected condition."""
    SERVICE_RESTART = 1012
    """The service is restarting."""
    TRY_AGAIN_LATER = 1013
    """The service is overloaded."""
    BAD_GATEWAY = 1014
    """A gateway got an invalid response."""


FIN: Final = 0x80
RSV1: Final = 0x40
RSV2_RSV3: Final = 0x30
OPCODE_BITS: Final = 0x0F
CONTROL_BIT: Final = 0x08
MASK_BIT: Final = 0x80
LENGTH_BITS: Final = 0x7F
LENGTH_IN_2_BYTES: Final = 126
LENGTH_IN_8_BYTES: Final = 127
MAX_CONTROL_PAYLOAD: Final = 125

# Reserved for ends without a close code, so no frame may carry them.
_NEVER_SENT = frozenset({CloseCode.NO_STATUS, CloseCode.ABNORMAL})
_DEFINED = frozenset(code for code in CloseCode if code not in _NEVER_SENT)

# By the length of a short payload: the bytes of the masking key and the payload, rounded up to a multiple of 4, and the factor
# that repeats a 4-byte masking key over them.
KEY_BITS: Final = 0xFFFFFFFF
KEY_REPEATER_BYTES: Final = [4 + (length + 3) // 4 * 4 for length in range(LENGTH_IN_2_BYTES)]
KEY_REPEATER: Final = [sum(1 << (8 * at) for at in range(0, size, 4)) for size in KEY_REPEATER_BYTES]


def is_sendable_close_code(code: int) -> bool:
    """Return True if a close frame may carry this code: one defined, registered (3000 to 3999) or private (4000 to 4999)."""
    return code in _DEFINED or 3000 <= code <= 4999


def new_masking_key() -> bytes:
    """Return an unpredictable masking key (RFC 6455, section 5.3)."""
    return os.urandom(4)


def apply_mask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask a payload with a 4-byte key (RFC 6455, section 5.3), by one XOR of two long integers."""
    length = len(payload)
    mask = (key * ((length + 3) >> 2))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(length, "little")


def encode_frame(opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False, key: bytes | None = None) -> bytes:
    """Return a frame, masked if a 4-byte masking key is given. A client must mask, a server must not (RFC 6455, section 5.1)."""
    first = opcode | (FIN if fin else 0) | (RSV1 if rsv1 else 0)
    length = len(payload)
    mask_bit = 0 if key is None else MASK_BIT
    if length < LENGTH_IN_2_BYTES:
        head = bytes((first, mask_bit | length))
    elif length < 65536:
        head = struct.pack("!BBH", first, mask_bit | LENGTH_IN_2_BYTES, length)
    else:
        head = struct.pack("!BBQ", first, mask_bit | LENGTH_IN_8_BYTES, length)
    if key is None:
        return head + payload
    if length < LENGTH_IN_2_BYTES:
        # Like `apply_mask`, for the key and the payload together: the key, repeated, XOR four zeros and the payload.
        number = int.from_bytes(key, "little") * KEY_REPEATER[length] ^ int.from_bytes(payload, "little") << 32
        return head + number.to_bytes(KEY_REPEATER_BYTES[length], "little")[: 4 + length]
    return head + key + apply_mask(payload, key)


def check_close(code: int, reason: str) -> None:
    """Raise UsageError if a close frame cannot carry this code or this reason (RFC 6455, sections 5.5 and 7.4)."""
    if not is_sendable_close_code(code):
        raise UsageError(f"{code} is not a close code that may be sent")
    if len(reason.encode()) > MAX_CONTROL_PAYLOAD - 2:
        raise UsageError(f"the reason of a close must have at most {MAX_CONTROL_PAYLOAD - 2} bytes, not {len(reason.encode())}")


def encode_close(code: int, reason: str) -> bytes:
    """Return the payload of a close frame: empty for 1005, else the code and as much of the reason as fits."""
    if code == CloseCode.NO_STATUS:
        return b""
    text = reason.encode()[: MAX_CONTROL_PAYLOAD - 2]
    # A cut inside a character would make the reason invalid UTF-8.
    return struct.pack("!H", code) + text.decode(errors="ignore").encode()
