"""Messages encoded once as frames that can be sent to many peers."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.errors import UsageError
from wschat.protocol.deflate import Deflate
from wschat.protocol.encoding import MIN_BYTES_TO_DEFLATE, Encoding, encode_fragments, payload_of
from wschat.protocol.frames import Opcode
from wschat.protocol.messages import MessageReader, Ping

from .wire import DEFLATE_TAIL, Frame, Outcome, frame, read

PLAIN = Encoding(masks=False, window_bits=0)
DEFLATED = Encoding(masks=False, window_bits=15)
PLAIN_CLIENT = Encoding(masks=True, window_bits=0)
DEFLATED_CLIENT = Encoding(masks=True, window_bits=15)
ENCODINGS = [PLAIN, DEFLATED, PLAIN_CLIENT, DEFLATED_CLIENT]


class Text(str):
    __slots__ = ()


class Data(bytes):
    __slots__ = ()


@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [
        ("", Opcode.TEXT, b""),
        ("Grüße 😀", Opcode.TEXT, "Grüße 😀".encode()),
        (Text("a"), Opcode.TEXT, b"a"),
        (b"", Opcode.BINARY, b""),
        (b"\xff", Opcode.BINARY, b"\xff"),
        (Data(b"a"), Opcode.BINARY, b"a"),
        (bytearray(b"ab"), Opcode.BINARY, b"ab"),
        (memoryview(b"ab"), Opcode.BINARY, b"ab"),
        (memoryview(b"abcd")[::2], Opcode.BINARY, b"ac"),
        (memoryview(array("H", [0x6161, 0x6262])), Opcode.BINARY, b"aabb"),
    ],
)
def test_str_is_text_and_bytes_like_objects_are_binary(message: object, opcode: Opcode, payload: bytes) -> None:
    assert payload_of(message) == (opcode, payload)
    assert isinstance(payload_of(message)[1], bytes)


INVALID_MESSAGES = [None, 1, 1.5, ["a"], {"a": 1}, object(), str, array("b", [1]), "\ud800", "a" * 125 + "\udfff", "x" * 1000 + "\ud800"]


@pytest.mark.parametrize("message", INVALID_MESSAGES, ids=lambda message: type(message).__name__)
def test_other_objects_and_lone_surrogates_are_usage_errors(message: object) -> None:
    with pytest.raises(UsageError):
        payload_of(message)
    for encoding in ENCODINGS:
        with pytest.raises(UsageError):
            encoding.encode(message)
        with pytest.raises(UsageError):
            encoding.encoder()(message)


@pytest.mark.parametrize("length", [0, 1, 125, 126, MIN_BYTES_TO_DEFLATE - 1, MIN_BYTES_TO_DEFLATE, 65535, 65536])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_the_peer_reads_the_encoded_messages(encoding: Encoding, length: int) -> None:
    deflate = Deflate() if encoding.window_bits else None
    messages: list[str | bytes] = ["x" * length, os.urandom(length), "é" * (length // 2)]
    sent = b"".join(encoding.encode(message) for message in messages)
    assert read([sent], masked=encoding.masks, deflate=deflate) == Outcome(messages, [])


@pytest.mark.parametrize("encoding", [PLAIN, DEFLATED], ids=str)
@pytest.mark.parametrize("message", ["", "Hello", b"Hello", "x" * 125, "x" * 126, "x" * 255])
def test_an_unmasked_short_message_is_one_uncompressed_frame(encoding: Encoding, message: str | bytes) -> None:
    first, payload = (0x81, message.encode()) if isinstance(message, str) else (0x82, message)
    assert encoding.encode(message) == frame(first, payload, masked=False)


@pytest.mark.parametrize("bits", [0, *range(9, 16)])
def test_equal_encodings_make_the_same_bytes(bits: int) -> None:
    one, other = Encoding(False, bits), Encoding(False, bits)
    assert one == other
    assert len({one, other}) == 1
    assert one != Encoding(True, bits)
    assert one != Encoding(False, bits + 1)
    for message in ("short", "long " * 1000, b"long " * 1000):
        assert one.encode(message) == other.encode(message) == one.encode(message)


@pytest.mark.parametrize("bits", range(9, 16))
def test_a_long_message_is_compressed_without_context(bits: int) -> None:
    encoding = Encoding(False, bits)
    message = os.urandom(2000).hex()
    for encoded in (encoding.encode(message), encoding.encode(message)):
        assert encoded[:2] == b"\xc1\x7e"
        assert len(encoded) < 0.7 * len(message)
        assert zlib.decompressobj(-bits).decompress(encoded[4:] + DEFLATE_TAIL) == message.encode()


@pytest.mark.parametrize("encoding", [PLAIN_CLIENT, DEFLATED_CLIENT], ids=str)
@pytest.mark.parametrize("message", ["Hello" * 5, "Hello" * 1000])
def test_each_frame_of_a_client_is_masked_with_a_new_key(encoding: Encoding, message: str) -> None:
    frames = [encoding.encode(message) for _ in range(5)]
    assert all(encoded[1] & 0x80 for encoded in frames)
    assert len(set(frames)) == 5


messages = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    st.builds(lambda text, times: text * times, st.text(max_size=3), st.integers(0, 300)),
    st.text(st.characters(), max_size=10),  # lone surrogates among them
    st.sampled_from([None, 7, Text("Hello"), bytearray(b"Hello")]),
)


@given(messages, st.sampled_from(ENCODINGS))
def test_an_encoder_returns_the_same_frames_as_encode(message: object, encoding: Encoding) -> None:
    try:
        expected = encoding.encode(message)
    except UsageError:
        with pytest.raises(UsageError):
            encoding.encoder()(message)
    else:
        encoded = encoding.encoder()(message)
        if not encoding.masks:
            assert encoded == expected
        deflate = Deflate() if encoding.window_bits else None
        outcome = read([expected], masked=encoding.masks, deflate=deflate)
        assert read([encoded], masked=encoding.masks, deflate=deflate) == outcome
        assert len(outcome.messages) == 1


# Fragmented messages


@pytest.mark.parametrize(
    ("parts", "frames"),
    [
        ([], []),
        (["a"], [(0x81, b"a")]),
        (["a", "b"], [(0x01, b"a"), (0x80, b"b")]),
        (["a", "", "c"], [(0x01, b"a"), (0x00, b""), (0x80, b"c")]),
        ([b"\xff"], [(0x82, b"\xff")]),
        ([b"a", bytearray(b"b"), memoryview(b"c")], [(0x02, b"a"), (0x00, b"b"), (0x80, b"c")]),
    ],
)
def test_each_part_of_a_message_is_a_frame(parts: list[object], frames: list[Frame]) -> None:
    assert list(encode_fragments(parts, masks=False)) == [frame(first, payload, masked=False) for first, payload in frames]


@pytest.mark.parametrize("masks", [True, False])
@given(parts=st.lists(st.text(max_size=5), min_size=1, max_size=5) | st.lists(st.binary(max_size=5), min_size=1, max_size=5))
def test_the_peer_reads_the_parts_as_one_message(masks: bool, parts: list[str] | list[bytes]) -> None:
    whole = "".join(map(str, parts)) if isinstance(parts[0], str) else b"".join(map(bytes, parts))
    assert read(encode_fragments(parts, masks=masks), masked=masks, max_fragments=len(parts)) == Outcome([whole], [])


@pytest.mark.parametrize("wrong", [b"binary", None, 7, "\ud800"], ids=ascii)
def test_a_part_of_another_type_is_an_error_when_it_is_reached(wrong: object) -> None:
    frames = encode_fragments(["a", "b", wrong, "c"], masks=False)
    assert next(frames) == frame(0x01, b"a", masked=False)
    with pytest.raises(UsageError):
        next(frames)


def test_a_part_is_encoded_as_soon_as_the_next_one_is_available() -> None:
    taken = []

    def parts() -> Iterator[str]:
        for part in ("a", "b", "c"):
            taken.append(part)
            yield part

    frames = encode_fragments(parts(), masks=False)
    assert next(frames) == frame(0x01, b"a", masked=False)
    assert taken == ["a", "b"]


@given(masks=st.booleans(), number=st.integers(0, 2**32 - 1))
def test_a_ping_has_its_number_as_payload(masks: bool, number: int) -> None:
    reader = MessageReader(masked=masks)
    reader.feed(Encoding(masks, 0).ping_frame(number))
    assert reader.control == [Ping(number.to_bytes(4, "big"))]
