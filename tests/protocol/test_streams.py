"""Generated streams, split at any offsets, and compared with another implementation (wsproto).

Streams are valid, or valid with some bytes changed, or frames of any kind, or any bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from wschat.protocol.deflate import Deflate
from wschat.protocol.frames import Opcode, encode_frame

from .wire import CLOSE, COMPRESSED, CONTINUATION, DEFLATE_TAIL, KEY, PING, PONG, Frame, Outcome, bytewise, frame, pieces, read

FIN = 0x80
# No compression, one context for all messages of the sender, and a new context for each message.
COMPRESSION = [None, Deflate(), Deflate(server_no_context_takeover=True, client_no_context_takeover=True)]


class Stream(NamedTuple):
    """The bytes of one direction of a connection, its parameters, and the expected outcome of a valid stream."""

    data: bytes
    masked: bool
    deflate: Deflate | None
    expected: Outcome

    def outcome(self, chunks: Iterable[bytes], *, max_bytes: int = 0, max_fragments: int = 0) -> Outcome:
        return read(chunks, masked=self.masked, deflate=self.deflate, max_bytes=max_bytes, max_fragments=max_fragments)


# Mostly short, to cover many combinations, and sometimes with an extended length of two bytes.
messages = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=3), st.sampled_from([42, 63, 125, 126, 400])),
    st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=3), st.sampled_from([42, 63, 125, 126, 400])),
)
short_messages = st.text(max_size=5) | st.binary(max_size=5)
control_frames = st.lists(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=4) | st.just(b"x" * 125)), max_size=2)
short_control_frames = st.lists(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=3)), max_size=1)
closes = st.builds(
    lambda code, reason: (code, reason), st.sampled_from([1000, 1001, 1011, 1014, 3000, 4999]), st.text(max_size=4)
) | st.just((1005, ""))
keys = st.sampled_from([KEY, bytes(4), b"\xff\xff\xff\xff", b"\x00\x01\x02\x03"])


def compressor_for(deflate: Deflate | None) -> Iterator[zlib._Compress]:
    """The compressor of each successive message."""
    compressor = zlib.compressobj(wbits=-15)
    while True:
        yield compressor
        if deflate != Deflate():
            compressor = zlib.compressobj(wbits=-15)


@st.composite
def streams(draw: st.DrawFn, messages: st.SearchStrategy[str | bytes], control_frames: st.SearchStrategy[list[Frame]]) -> Stream:
    """Messages in one frame or several, compressed or not, with control frames anywhere; perhaps a close at the end."""
    masked = draw(st.booleans())
    deflate = draw(st.sampled_from(COMPRESSION))
    compressors = compressor_for(deflate)
    frames: list[Frame] = draw(control_frames)
    sent_messages = draw(st.lists(messages, max_size=4))
    for message in sent_messages:
        first = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        payload = message.encode() if isinstance(message, str) else message
        head = int(first)
        if deflate and draw(st.booleans()):
            compressor = next(compressors)
            payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(DEFLATE_TAIL)
            head |= COMPRESSED
        parts = pieces(payload, draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        for number, part in enumerate(parts):
            last = FIN if number == len(parts) - 1 else 0
            frames.append((last | (Opcode.CONTINUATION if number else head), part))
            frames += draw(control_frames)
    control: list[tuple[str | bytes | int, ...]] = []
    control += [("Ping" if first == PING else "Pong", payload) for first, payload in frames if first in (PING, PONG)]
    close = draw(st.none() | closes)
    if close:
        code, reason = close
        frames.append((CLOSE, b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode()))
        frames += draw(control_frames)  # which are ignored
        control.append(("Close", code, reason))
    key = draw(keys)
    data = b"".join(frame(first, payload, masked=masked, key=key) for first, payload in frames)
    return Stream(data, masked, deflate, Outcome(list(sent_messages), control))


valid_streams = streams(messages, control_frames)
short_streams = streams(short_messages, short_control_frames)


@st.composite
def damaged_streams(draw: st.DrawFn) -> Stream:
    """A valid stream in which some bytes were changed, removed or inserted."""
    valid = draw(short_streams)
    data = bytearray(valid.data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return valid._replace(data=bytes(data))


@st.composite
def frames_of_any_kind(draw: st.DrawFn) -> Stream:
    """Complete frames, each of which is likely to be invalid after the previous ones."""
    masked = draw(st.booleans())
    firsts = st.sampled_from([0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x41, 0xC2, 0x88, 0x89, 0x8A]) | st.integers(0, 255)
    payloads = st.one_of(
        st.sampled_from([b"", b"\xe2", b"\x82\xac", b"Hel", b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]),
        st.binary(max_size=5),
        st.just(b"x" * 126),
    )
    masks = st.sampled_from([masked] * 9 + [not masked])
    data = b"".join(
        frame(first, payload, masked=is_masked)
        for first, payload, is_masked in draw(st.lists(st.tuples(firsts, payloads, masks), max_size=6))
    )
    return Stream(data, masked, draw(st.sampled_from(COMPRESSION)), Outcome([], []))


any_bytes = st.builds(Stream, st.binary(max_size=60), st.booleans(), st.sampled_from(COMPRESSION), st.just(Outcome([], [])))
any_streams = st.one_of(short_streams, damaged_streams(), frames_of_any_kind(), any_bytes)


# Any split


@settings(deadline=None)
@given(valid_streams, st.data())
def test_a_valid_stream_has_the_same_outcome_however_it_is_split(stream: Stream, data: st.DataObject) -> None:
    assert stream.outcome([stream.data]) == stream.expected
    cuts = data.draw(st.lists(st.integers(0, len(stream.data)), max_size=8))
    assert stream.outcome(pieces(stream.data, cuts)) == stream.expected


@settings(deadline=None)
@given(short_streams)
def test_a_valid_stream_has_the_same_outcome_split_anywhere_or_everywhere(stream: Stream) -> None:
    assert stream.outcome(bytewise(stream.data)) == stream.expected
    for place in range(len(stream.data)):
        assert stream.outcome(pieces(stream.data, [place])) == stream.expected


@settings(deadline=None, max_examples=200)
@given(any_streams, st.sampled_from([0, 1, 5, 120, 200]), st.sampled_from([0, 1, 2, 3]))
def test_any_bytes_have_the_same_outcome_however_they_are_split(stream: Stream, max_bytes: int, max_fragments: int) -> None:
    whole = stream.outcome([stream.data], max_bytes=max_bytes, max_fragments=max_fragments)
    for chunks in (bytewise(stream.data), *(pieces(stream.data, [place]) for place in range(len(stream.data)))):
        assert stream.outcome(chunks, max_bytes=max_bytes, max_fragments=max_fragments) == whole


# Comparison with wsproto


def wsproto_connection(deflate: Deflate | None, *, is_client: bool) -> Connection:
    extensions: list[Extension] = []
    if deflate:
        extension = PerMessageDeflate(
            client_no_context_takeover=deflate.client_no_context_takeover,
            server_no_context_takeover=deflate.server_no_context_takeover,
            client_max_window_bits=deflate.client_max_window_bits,
            server_max_window_bits=deflate.server_max_window_bits,
        )
        extension.finalize("permessage-deflate")  # which activates it
        extensions.append(extension)
    return Connection(ConnectionType.CLIENT if is_client else ConnectionType.SERVER, extensions)


def read_by_wsproto(data: bytes, *, masked: bool, deflate: Deflate | None) -> Outcome:
    """Read a stream with wsproto, and join the parts of messages that it returns."""
    connection = wsproto_connection(deflate, is_client=not masked)
    connection.receive_data(data)
    outcome = Outcome([], [])
    parts: list[str | bytes] = []
    for event in connection.events():
        if isinstance(event, Message):
            parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
            if event.message_finished:
                empty: str | bytes = "" if isinstance(event, TextMessage) else b""
                outcome.messages.append(empty.join(parts))  # type: ignore[arg-type]
                parts.clear()
        elif isinstance(event, Ping | Pong):
            outcome.control.append((type(event).__name__, bytes(event.payload)))
        elif isinstance(event, CloseConnection) and connection.state is ConnectionState.OPEN:
            # Not a close frame, which would have changed the state: wsproto refuses the stream.
            return outcome._replace(violation=int(event.code))
        elif isinstance(event, CloseConnection):
            outcome.control.append(("Close", int(event.code), event.reason or ""))
    return outcome


def whole_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Split bytes into frames by their lengths only; return the frames and their bytes.

    An incomplete payload of the last frame is padded with zeros: wsproto checks payloads that have only arrived in part, but
    checks the order of frames only once there is a payload. A last frame with an incomplete header is left out, and so is one
    of more than 64 KiB, which would take too long.
    """
    frames: list[Frame] = []
    at = 0
    while len(data) - at >= 2:
        length, payload_at = data[at + 1] & 0x7F, at + 2
        if length >= 126:
            payload_at += 2 if length == 126 else 8
            length = int.from_bytes(data[at + 2 : payload_at], "big")
        key = data[payload_at : payload_at + 4] if data[at + 1] & 0x80 else bytes(4)
        payload_at += 4 if data[at + 1] & 0x80 else 0
        if payload_at > len(data) or length > 65536:
            break
        data += bytes(max(0, payload_at + length - len(data)))
        masked = data[payload_at : payload_at + length]
        frames.append((data[at], bytes(byte ^ key[i % 4] for i, byte in enumerate(masked))))
        at = payload_at + length
    return frames, data[:at]


def wsproto_is_wrong_about(frames: list[Frame], deflate: Deflate | None) -> bool:
    """Return True if the stream contains one of the three things that wsproto reads wrongly."""
    inflater = zlib.decompressobj(-15)
    is_compressed = False
    for first, payload in frames:
        is_last = bool(first & FIN)
        if first & 0x08:
            if is_compressed and deflate:
                return True  # After a control frame, it reads the rest of a compressed message as uncompressed.
            if first == CLOSE and payload[:2] == (1014).to_bytes(2, "big"):
                return True  # It does not know this close code, which was registered after the others.
            continue
        if first & 0x0F:
            is_compressed = bool(first & COMPRESSED)
        if is_compressed and deflate:
            try:
                inflater.decompress(payload + (DEFLATE_TAIL if is_last else b""))
            except zlib.error:
                return False  # Both refuse the stream here.
            if inflater.eof:
                return True  # It ignores data after a final block (RFC 7692, section 7.2.3.4).
        if is_last:
            is_compressed = False
            inflater = inflater if deflate == Deflate() else zlib.decompressobj(-15)
    return False


@settings(deadline=None)
@given(valid_streams)
def test_wsproto_reads_the_same_from_a_valid_stream(stream: Stream) -> None:
    frames, data = whole_frames(stream.data)
    assume(not wsproto_is_wrong_about(frames, stream.deflate))
    assert data == stream.data
    assert read_by_wsproto(data, masked=stream.masked, deflate=stream.deflate) == stream.expected == stream.outcome([data])


@settings(deadline=None, max_examples=200)
@given(any_streams)
def test_wsproto_reads_the_same_from_any_bytes_or_refuses_them_too(stream: Stream) -> None:
    frames, data = whole_frames(stream.data)
    assume(not wsproto_is_wrong_about(frames, stream.deflate))
    ours = stream.outcome([data])
    theirs = read_by_wsproto(data, masked=stream.masked, deflate=stream.deflate)
    # A frame with two errors may be refused for either, so the close codes are not compared.
    assert (ours.messages, ours.control, ours.violation is None) == (theirs.messages, theirs.control, theirs.violation is None)


# Compression with all settings, in both directions

deflate_settings = st.builds(Deflate, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15))


@settings(deadline=None)
@given(deflate_settings, st.booleans(), st.lists(messages, max_size=5), st.data())
def test_wsproto_inflates_our_messages(deflate: Deflate, masked: bool, sent_messages: list[str | bytes], data: st.DataObject) -> None:
    deflater = deflate.deflater(is_client=masked)
    sent = b""
    for message in sent_messages:
        payload = message.encode() if isinstance(message, str) else message
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        parts = pieces(payload, data.draw(st.lists(st.integers(0, len(payload)), max_size=2)))
        for number, part in enumerate(parts):
            fin = number == len(parts) - 1
            compressed = deflater.deflate(part, fin)
            kind = Opcode.CONTINUATION if number else opcode
            sent += encode_frame(kind, compressed, fin=fin, rsv1=not number, key=KEY if masked else None)
    assert read_by_wsproto(sent, masked=masked, deflate=deflate) == Outcome(sent_messages, [])


@settings(deadline=None)
@given(deflate_settings, st.booleans(), st.lists(messages, max_size=5), st.data())
def test_our_reader_inflates_messages_of_wsproto(
    deflate: Deflate, masked: bool, sent_messages: list[str | bytes], data: st.DataObject
) -> None:
    connection = wsproto_connection(deflate, is_client=masked)
    sent = b""
    for message in sent_messages:
        cut = data.draw(st.integers(0, len(message)))
        for part, is_last in ((message[:cut], False), (message[cut:], True)):
            if isinstance(part, str):
                sent += connection.send(TextMessage(data=part, message_finished=is_last))
            else:
                sent += connection.send(BytesMessage(data=part, message_finished=is_last))
    assert read([sent], masked=masked, deflate=deflate) == Outcome(sent_messages, [])


@pytest.mark.parametrize(("frames", "expected"), [([(CONTINUATION, b"")], 1002), ([(0x81, b"\xff")], 1007), ([(0x81, b"a")], None)])
def test_the_comparison_recognizes_refusals(frames: list[Frame], expected: int | None) -> None:
    data = b"".join(frame(first, payload, masked=True) for first, payload in frames)
    assert read_by_wsproto(data, masked=True, deflate=None).violation == expected
