"""permessage-deflate (RFC 7692): negotiation, and compression of the payloads of messages, whole or in parts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from wschat.errors import ProtocolViolation, UsageError
from wschat.protocol.frames import CloseCode
from wschat.protocol.syntax import TOKEN

NAME = "permessage-deflate"
MIN_WINDOW_BITS = 8
MAX_WINDOW_BITS = 15
# zlib cannot compress raw deflate data with a window of 256 bytes (8 bits); it uses 512 bytes instead.
_MIN_COMPRESSING_BITS = 9
# The end of a flush, which is removed from every message (RFC 7692, section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
_WINDOW_BYTES = 1 << MAX_WINDOW_BITS
_MEMORY_LEVEL = 8
# No ordinary compressor writes more than one last block in a message; each costs a new decompressor.
_MAX_LAST_BLOCKS = 16

_PARAMETER = re.compile(rf'\s*;\s*({TOKEN})(?:\s*=\s*(?:({TOKEN})|"({TOKEN})"))?')
_EXTENSION = re.compile(rf"\s*({TOKEN})((?:{_PARAMETER.pattern.replace('(' + TOKEN, '(?:' + TOKEN)})*)\s*(?:,|$)")

_SEPARATORS = " \t,"

Parameter = tuple[str, "str | None"]


@dataclass(frozen=True)
class Deflate:
    """The parameters of permessage-deflate on one connection, to be offered or agreed on (RFC 7692, section 7.1).

    Without context takeover every message is compressed by itself. That takes a few more bytes on the wire and no memory between messages;
    context takeover takes up to 300 KB for each direction. Raises UsageError for window bits outside 8 to 15.
    """

    server_no_context_takeover: bool = False
    """True if the server compresses every message by itself."""
    client_no_context_takeover: bool = False
    """True if the client compresses every message by itself."""
    server_max_window_bits: int = MAX_WINDOW_BITS
    """The base-2 logarithm of the server's window, 8 to 15. A server of this package compresses with 9 or more."""
    client_max_window_bits: int = MAX_WINDOW_BITS
    """The base-2 logarithm of the client's window, 8 to 15. A client of this package compresses with 9 or more."""

    def __post_init__(self) -> None:
        for bits in (self.server_max_window_bits, self.client_max_window_bits):
            if not MIN_WINDOW_BITS <= bits <= MAX_WINDOW_BITS:
                raise UsageError(f"window bits must be from {MIN_WINDOW_BITS} to {MAX_WINDOW_BITS}, not {bits}")

    def window_bits(self, *, is_client: bool) -> int:
        """Return the window bits of the messages that this side sends."""
        return self.client_max_window_bits if is_client else self.server_max_window_bits

    def keeps_context(self, *, is_client: bool) -> bool:
        """Return True if the messages that this side sends refer to earlier ones."""
        return not (self.client_no_context_takeover if is_client else self.server_no_context_takeover)

    def deflater(self, *, is_client: bool) -> Deflater:
        """Return a compressor for the messages that this side sends."""
        return Deflater(self.window_bits(is_client=is_client), keep_context=self.keeps_context(is_client=is_client))

    def inflater(self, *, is_client: bool) -> Inflater:
        """Return a decompressor for the messages that this side receives."""
        peer_is_client = not is_client
        return Inflater(self.window_bits(is_client=peer_is_client), keep_context=self.keeps_context(is_client=peer_is_client))


def parse_extensions(header: str) -> Iterator[tuple[str, list[Parameter]]]:
    """Yield the name and the parameters of each extension in a Sec-WebSocket-Extensions header (RFC 6455, section 9.1).

    Raises ValueError where the header does not follow the grammar.
    """
    at = len(header) - len(header.lstrip(_SEPARATORS))
    while at < len(header):
        match = _EXTENSION.match(header, at)
        if match is None:
            raise ValueError(f"malformed extension: {header[at:]!r}")
        yield match[1].lower(), [(name.lower(), value or quoted or None) for name, value, quoted in _PARAMETER.findall(match[2])]
        # Elements of a list may be empty (RFC 9110, section 5.6.1).
        at = len(header) - len(header[match.end() :].lstrip(_SEPARATORS))


def offer(wanted: Deflate) -> str:
    """Return the Sec-WebSocket-Extensions header with which a client offers permessage-deflate (RFC 7692, section 7.1)."""
    parts = [NAME, *_flags(wanted)]
    if wanted.server_max_window_bits < MAX_WINDOW_BITS:
        parts.append(f"server_max_window_bits={wanted.server_max_window_bits}")
    if wanted.client_max_window_bits < MAX_WINDOW_BITS:
        parts.append(f"client_max_window_bits={wanted.client_max_window_bits}")
    else:
        parts.append("client_max_window_bits")
    return "; ".join(parts)


def accept_offer(header: str, wanted: Deflate) -> tuple[str, Deflate] | None:
    """Return a server's response to a client's offers: the header and the agreed parameters, or None to decline all.

    The first acceptable offer is accepted (RFC 7692, section 5.1). An offer with a parameter that is unknown, repeated or out of range
    is declined (section 7.1), and so is a header that cannot be parsed.
    """
    try:
        offers = list(parse_extensions(header))
    except ValueError:
        return None
    for name, parameters in offers:
        offered = _parse_parameters(parameters, valueless_window=True) if name == NAME else None
        if offered is None:
            continue
        may_limit_client = "client_max_window_bits" in offered
        agreed = Deflate(
            server_no_context_takeover=wanted.server_no_context_takeover or "server_no_context_takeover" in offered,
            client_no_context_takeover=wanted.client_no_context_takeover or "client_no_context_takeover" in offered,
            server_max_window_bits=min(wanted.server_max_window_bits, offered.get("server_max_window_bits") or MAX_WINDOW_BITS),
            client_max_window_bits=(
                min(wanted.client_max_window_bits, offered["client_max_window_bits"] or MAX_WINDOW_BITS)
                if may_limit_client
                else MAX_WINDOW_BITS
            ),
        )
        if agreed.server_max_window_bits < _MIN_COMPRESSING_BITS:
            continue
        parts = [NAME, *_flags(agreed)]
        if agreed.server_max_window_bits < MAX_WINDOW_BITS or "server_max_window_bits" in offered:
            parts.append(f"server_max_window_bits={agreed.server_max_window_bits}")
        if agreed.client_max_window_bits < MAX_WINDOW_BITS:
            parts.append(f"client_max_window_bits={agreed.client_max_window_bits}")
        return "; ".join(parts), agreed
    return None


def accept_answer(header: str, wanted: Deflate) -> Deflate | None:
    """Return the parameters that a server's response to `offer(wanted)` agrees on, or None if it declines.

    Raises ValueError if the response does not match the offer, or asks for something that zlib cannot do; the client must fail the
    connection then (RFC 6455, section 4.1; RFC 7692, section 7.1).
    """
    answers = list(parse_extensions(header))
    if not answers:
        return None
    if len(answers) > 1 or answers[0][0] != NAME:
        raise ValueError(f"the server chose extensions that were not offered: {header!r}")
    agreed = _parse_parameters(answers[0][1], valueless_window=False)
    if agreed is None:
        raise ValueError(f"the server answered with invalid parameters: {header!r}")
    server_bits = agreed.get("server_max_window_bits") or MAX_WINDOW_BITS
    client_bits = min(wanted.client_max_window_bits, agreed.get("client_max_window_bits") or MAX_WINDOW_BITS)
    if server_bits > wanted.server_max_window_bits:
        raise ValueError(f"the server exceeds the window that was asked for: {header!r}")
    if wanted.server_no_context_takeover and "server_no_context_takeover" not in agreed:
        raise ValueError(f"the server insists on context takeover: {header!r}")
    if client_bits < _MIN_COMPRESSING_BITS:
        raise ValueError(f"the server asks for a window that zlib cannot compress with: {header!r}")
    return Deflate(
        server_no_context_takeover="server_no_context_takeover" in agreed,
        client_no_context_takeover=wanted.client_no_context_takeover or "client_no_context_takeover" in agreed,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
    )


def _flags(deflate: Deflate) -> list[str]:
    return [name for name in ("server_no_context_takeover", "client_no_context_takeover") if getattr(deflate, name)]


def _parse_parameters(parameters: list[Parameter], *, valueless_window: bool) -> dict[str, int | None] | None:
    """Return the parameters by name, or None if one is not valid. Flags, and a window without a value, are None."""
    known: dict[str, int | None] = {}
    for name, value in parameters:
        if name in known:
            return None
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
            known[name] = None
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None and valueless_window and name == "client_max_window_bits":
                known[name] = None
            elif value is None or not re.fullmatch(r"[89]|1[0-5]", value):
                return None
            else:
                known[name] = int(value)
        else:
            return None
    return known


class Deflater:
    """Compresses the messages that one side sends. Not thread-safe."""

    __slots__ = ("_bits", "_compressor", "_keep_context")

    def __init__(self, window_bits: int, *, keep_context: bool) -> None:
        if window_bits < _MIN_COMPRESSING_BITS:
            raise UsageError(f"zlib cannot compress with a window of {window_bits} bits")
        self._bits = window_bits
        self._keep_context = keep_context
        self._compressor: zlib._Compress | None = None

    def deflate(self, payload: bytes, final: bool = True) -> bytes:
        """Compress the next part of a message (RFC 7692, section 7.2.1). The message is complete after the final part."""
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(wbits=-self._bits, memLevel=_MEMORY_LEVEL)
        data = compressor.compress(payload)
        if not final:
            self._compressor = compressor
            return data
        self._compressor = compressor if self._keep_context else None
        data += compressor.flush(zlib.Z_SYNC_FLUSH)
        return data[: -len(_TAIL)]


class Inflater:
    """Decompresses the messages that one side receives. Not thread-safe."""

    __slots__ = ("_bits", "_decompressor", "_keep_context", "_window")

    def __init__(self, window_bits: int, *, keep_context: bool) -> None:
        self._bits = window_bits
        self._keep_context = keep_context
        self._decompressor: zlib._Decompress | None = None
        self._window = b""  # the last bytes, for a new decompressor in the same context

    def inflate(self, payload: bytes, max_bytes: int, final: bool) -> bytes:
        """Decompress the next part of a message (RFC 7692, section 7.2.2).

        Raises ProtocolViolation if the data is not valid, or as soon as it is more than `max_bytes`.
        """
        data = payload + _TAIL if final else payload
        inflated = bytearray()
        last_blocks = 0
        try:
            while data:
                decompressor = self._decompressor
                if decompressor is None:
                    decompressor = self._decompressor = zlib.decompressobj(-self._bits)
                # One byte more than allowed shows that it is too much; for zlib, 0 would mean no limit.
                inflated += decompressor.decompress(data, max_bytes - len(inflated) + 1)
                if len(inflated) > max_bytes:
                    raise ProtocolViolation(CloseCode.TOO_BIG, "message is too big")
                data = decompressor.unconsumed_tail
                if decompressor.eof:
                    # A last block does not end the message: the data after it uses the same window (section 7.2.3.4).
                    data = decompressor.unused_data
                    last_blocks += 1
                    if last_blocks > _MAX_LAST_BLOCKS:
                        raise ProtocolViolation(CloseCode.INVALID_DATA, "compressed data has too many last blocks")
                    window = (self._window + inflated[-_WINDOW_BYTES:])[-_WINDOW_BYTES:]
                    self._decompressor = zlib.decompressobj(-self._bits, zdict=window)
        except zlib.error:
            raise ProtocolViolation(CloseCode.INVALID_DATA, "compressed data is not valid") from None
        if final and not self._keep_context:
            self._decompressor = None
            self._window = b""
        else:
            self._window = (self._window + inflated[-_WINDOW_BYTES:])[-_WINDOW_BYTES:]
        return bytes(inflated)
