"""`MessageReader` with handwritten streams of frames. Generated streams are in `test_streams`."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from wschat.errors import PeerError, ProtocolViolation
from wschat.protocol.deflate import Deflate
from wschat.protocol.messages import Close, MessageReader, Ping, Pong

from .wire import (
    BINARY,
    BINARY_PART,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    CONTINUATION_PART,
    DEFLATE_TAIL,
    PING,
    PONG,
    TEXT,
    TEXT_PART,
    Frame,
    Outcome,
    bytewise,
    deflated,
    frame,
    head,
    pieces,
    read,
    stream,
)

HELLO = bytes.fromhex("f248cdc9c90700")  # "Hello", compressed
NOT_UTF8 = {
    "no first byte": b"\xff",
    "continuation byte first": b"a\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong in three bytes": b"\xe0\x9f\xbf",
    "surrogate": b"\xed\xa0\x80",
    "past the last character": b"\xf4\x90\x80\x80",
    "character cut by another": b"\xe2\x82A",
}
TRUNCATED_UTF8 = {"1 of 2 bytes": b"A\xc3", "2 of 3 bytes": b"A\xe2\x82", "3 of 4 bytes": b"A\xf0\x9f\x98"}


@pytest.fixture(params=[True, False], ids=["from a client", "from a server"])
def masked(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def whole_and_bytewise(frames: Iterable[Frame], masked: bool) -> list[list[bytes]]:
    data = stream(frames, masked=masked)
    return [[data], bytewise(data)]


VALID: list[tuple[str, list[Frame], Outcome]] = [
    ("nothing", [], Outcome([], [])),
    ("empty text", [(TEXT, b"")], Outcome([""], [])),
    ("empty binary", [(BINARY, b"")], Outcome([b""], [])),
    ("text and binary", [(TEXT, "Grüße 😀".encode()), (BINARY, b"\x00\xff")], Outcome(["Grüße 😀", b"\x00\xff"], [])),
    ("fragments", [(TEXT_PART, b"Hel"), (CONTINUATION_PART, b"l"), (CONTINUATION, b"o")], Outcome(["Hello"], [])),
    ("binary fragments", [(BINARY_PART, b"\xff"), (CONTINUATION, b"\xfe")], Outcome([b"\xff\xfe"], [])),
    ("empty fragments", [(TEXT_PART, b""), (CONTINUATION_PART, b""), (CONTINUATION, b"")], Outcome([""], [])),
    ("character in two fragments", [(TEXT_PART, b"\xe2\x82"), (CONTINUATION, b"\xac")], Outcome(["€"], [])),
    (
        "message after fragments",
        [(TEXT_PART, b"a"), (CONTINUATION, b"b"), (TEXT, b"c"), (BINARY, b"d")],
        Outcome(["ab", "c", b"d"], []),
    ),
    ("ping and pong", [(PING, b""), (PONG, b""), (PING, b"1")], Outcome([], [("Ping", b""), ("Pong", b""), ("Ping", b"1")])),
    ("longest control frame", [(PING, b"x" * 125)], Outcome([], [("Ping", b"x" * 125)])),
    (
        "control frames between fragments",
        [(TEXT_PART, b"Hel"), (PING, b"1"), (CONTINUATION_PART, b"l"), (PONG, b"2"), (PING, b"3"), (CONTINUATION, b"o")],
        Outcome(["Hello"], [("Ping", b"1"), ("Pong", b"2"), ("Ping", b"3")]),
    ),
    ("close without a code", [(CLOSE, b"")], Outcome([], [("Close", 1005, "")])),
    ("close with a code", [(CLOSE, b"\x03\xe8")], Outcome([], [("Close", 1000, "")])),
    ("close with a reason", [(CLOSE, b"\x0f\xa0" + "tschüß".encode())], Outcome([], [("Close", 4000, "tschüß")])),
    ("close with the longest reason", [(CLOSE, b"\x03\xe8" + b"x" * 123)], Outcome([], [("Close", 1000, "x" * 123)])),
    ("close between fragments", [(TEXT_PART, b"Hel"), (CLOSE, b"")], Outcome([], [("Close", 1005, "")])),
    ("messages before a close", [(TEXT, b"bye"), (CLOSE, b"")], Outcome(["bye"], [("Close", 1005, "")])),
    ("messages after a close", [(CLOSE, b""), (TEXT, b"?"), (PING, b""), (CLOSE, b"")], Outcome([], [("Close", 1005, "")])),
    ("invalid frames after a close", [(CLOSE, b""), (0xF3, b"?"), (CONTINUATION, b"\xff")], Outcome([], [("Close", 1005, "")])),
]


@pytest.mark.parametrize(("frames", "expected"), [pytest.param(*case, id=name) for name, *case in VALID])
def test_frames_are_read_as_messages_and_control_frames(masked: bool, frames: list[Frame], expected: Outcome) -> None:
    for chunks in whole_and_bytewise(frames, masked):
        assert read(chunks, masked=masked) == expected


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize("parts", [1, 2])
def test_messages_of_every_length(masked: bool, length: int, parts: int) -> None:
    text = "x" * length
    data = text.encode()
    frames: list[Frame] = [(TEXT, data), (BINARY, data)]
    if parts == 2:
        frames = [(TEXT_PART, data[:1]), (CONTINUATION, data[1:]), (BINARY_PART, data[:-1]), (CONTINUATION, data[-1:] if data else b"")]
    whole = stream(frames, masked=masked)
    for chunks in ([whole], pieces(whole, range(1, 20)), pieces(whole, range(len(whole) - 20, len(whole)))):
        assert read(chunks, masked=masked) == Outcome([text, data], [])


def test_control_frames_have_types() -> None:
    reader = MessageReader(masked=False)
    reader.feed(stream([(PING, b"a"), (PONG, b"b"), (CLOSE, b"\x03\xe9c")], masked=False))
    assert [(type(control), control) for control in reader.control] == [(Ping, Ping(b"a")), (Pong, Pong(b"b")), (Close, Close(1001, "c"))]


def test_messages_can_be_taken_out_between_two_feeds(masked: bool) -> None:
    reader = MessageReader(masked=masked)
    data = stream([(TEXT, b"one"), (PING, b""), (TEXT, b"two"), (TEXT, b"three")], masked=masked)
    seen = []
    for chunk in bytewise(data):
        reader.feed(chunk)
        while reader.messages:
            seen.append(reader.messages.popleft())
        reader.control.clear()
    assert seen == ["one", "two", "three"]


def test_nothing_is_read_after_a_close(masked: bool) -> None:
    reader = MessageReader(masked=masked)
    reader.feed(frame(CLOSE, b"", masked=masked))
    reader.feed(frame(TEXT, b"more", masked=masked))
    reader.feed(b"\xff\xff\xff\xff")
    assert not reader.messages
    assert reader.control == [Close(1005, "")]


def close_of(code: int) -> list[Frame]:
    return [(CLOSE, code.to_bytes(2, "big"))]


WRONG: list[tuple[str, list[Frame], int]] = [
    *((f"first byte {first:02x}, a reserved bit", [(first, b"")], 1002) for first in (0xC1, 0xA1, 0x91, 0xF2, 0x41, 0xC9, 0xA8, 0x9A)),
    *((f"opcode {opcode}", [(0x80 | opcode, b"")], 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    *((f"opcode {first}, fragmented", [(first, b"")], 1002) for first in (3, 7, 8, 9, 10, 11, 15)),
    *((f"control frame {first:02x} of 126 bytes", [(first, b"x" * 126)], 1002) for first in (CLOSE, PING, PONG)),
    ("control frame of 65536 bytes", [(PING, b"x" * 65536)], 1002),
    ("continuation of nothing", [(CONTINUATION, b"a")], 1002),
    ("continuation of nothing, fragmented", [(CONTINUATION_PART, b"a")], 1002),
    ("continuation of a complete message", [(TEXT_PART, b"a"), (CONTINUATION, b"b"), (CONTINUATION, b"c")], 1002),
    *(
        (f"{second:02x} inside of {first:02x}", [(first, b"a"), (PING, b""), (second, b"b")], 1002)
        for first in (TEXT_PART, BINARY_PART)
        for second in (TEXT, BINARY, TEXT_PART, BINARY_PART)
    ),
    *((f"text with {what}", [(TEXT, text)], 1007) for what, text in (NOT_UTF8 | TRUNCATED_UTF8).items()),
    *((f"long text with {what}", [(TEXT, b"x" * 300 + text)], 1007) for what, text in (NOT_UTF8 | TRUNCATED_UTF8).items()),
    *(
        (f"fragments with {what}", [(TEXT_PART, text[:1]), (CONTINUATION, text[1:])], 1007)
        for what, text in (NOT_UTF8 | TRUNCATED_UTF8).items()
    ),
    *((f"first fragment with {what}", [(TEXT_PART, text)], 1007) for what, text in NOT_UTF8.items()),
    *((f"middle fragment with {what}", [(TEXT_PART, b""), (CONTINUATION_PART, text)], 1007) for what, text in NOT_UTF8.items()),
    *((f"no last byte, {what}", [(TEXT_PART, text), (CONTINUATION, b"")], 1007) for what, text in TRUNCATED_UTF8.items()),
    ("close of one byte", [(CLOSE, b"\x03")], 1002),
    *((f"close code {code}", close_of(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    *((f"close reason with {what}", [(CLOSE, b"\x03\xe8" + text)], 1007) for what, text in (NOT_UTF8 | TRUNCATED_UTF8).items()),
]


@pytest.mark.parametrize(("frames", "code"), [pytest.param(*case, id=name) for name, *case in WRONG])
def test_a_violation_is_reported_after_the_messages_before_it(masked: bool, frames: list[Frame], code: int) -> None:
    for chunks in whole_and_bytewise(frames, masked):
        assert read(chunks, masked=masked).violation == code
    before: list[Frame] = [(TEXT, b"one"), (PING, b"two"), (BINARY_PART, b"th"), (CONTINUATION, b"ree")]
    for chunks in whole_and_bytewise([*before, *frames], masked):
        outcome = read(chunks, masked=masked)
        assert outcome.messages[:2] == ["one", b"three"]
        assert outcome.control[0] == ("Ping", b"two")
        assert outcome.violation == code


def test_a_violation_is_a_peer_error_with_a_code_and_a_reason() -> None:
    with pytest.raises(ProtocolViolation, match="opcode 3") as caught:
        MessageReader(masked=False).feed(b"\x83\x00")
    assert isinstance(caught.value, PeerError)
    assert caught.value.code == 1002
    assert caught.value.reason


@pytest.mark.parametrize("first", [TEXT, BINARY, PING, CLOSE])
def test_a_client_must_mask_and_a_server_must_not(masked: bool, first: int) -> None:
    assert read([frame(first, b"", masked=not masked)], masked=masked).violation == 1002


# (first byte, length, size of the extended length, close code): all of these are refused before the payload arrives.
REFUSED_HEADERS = [
    *((BINARY, length, 2, 1002) for length in (0, 1, 125)),
    *((BINARY, length, 8, 1002) for length in (0, 125, 126, 65535)),
    *((BINARY, length, 8, 1002) for length in (1 << 63, (1 << 64) - 1)),
    (BINARY, 101, 0, 1009),
    (TEXT, 101, 0, 1009),
    (TEXT_PART, 101, 0, 1009),
    (BINARY, 126, 2, 1009),
    (TEXT, 65535, 2, 1009),
    (BINARY, 65536, 8, 1009),
    (BINARY, (1 << 63) - 1, 8, 1009),
    (BINARY | COMPRESSED, 1 << 20, 8, 1009),
    (TEXT | COMPRESSED, (1 << 63) - 1, 8, 1009),
    (PING, 126, 2, 1002),
    (0x83, 5, 0, 1002),
    (CONTINUATION, 5, 0, 1002),
]


@pytest.mark.parametrize(("first", "length", "field", "code"), REFUSED_HEADERS)
def test_an_invalid_header_is_refused_before_the_payload_arrives(masked: bool, first: int, length: int, field: int, code: int) -> None:
    data = head(first, length, masked=masked, field=field)
    for chunks in ([data], bytewise(data)):
        assert read(chunks, masked=masked, max_bytes=100, deflate=Deflate()).violation == code


@pytest.mark.parametrize("limit", [1, 100, 125, 126, 65535, 65536])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_message_may_be_as_large_as_the_limit_and_no_larger(masked: bool, limit: int, first: int) -> None:
    assert read([frame(first, b"x" * limit, masked=masked)], masked=masked, max_bytes=limit).violation is None
    assert read([frame(first, b"x" * (limit + 1), masked=masked)], masked=masked, max_bytes=limit) == Outcome([], [], 1009)


@pytest.mark.parametrize("first", [TEXT_PART, BINARY_PART])
def test_the_size_of_a_message_is_that_of_all_its_fragments(masked: bool, first: int) -> None:
    begun: list[Frame] = [(first, b"x" * 60), (PING, b"p" * 100), (CONTINUATION_PART, b"x" * 30)]
    fits = stream([*begun, (CONTINUATION, b"x" * 10), *begun, (CONTINUATION, b"x" * 10)], masked=masked)
    assert len(read([fits], masked=masked, max_bytes=100).messages) == 2
    announced = stream(begun, masked=masked) + head(CONTINUATION, 11, masked=masked)
    assert read([announced], masked=masked, max_bytes=100) == Outcome([], [("Ping", b"p" * 100)], 1009)


def test_the_limit_on_messages_does_not_apply_to_control_frames(masked: bool) -> None:
    assert read([frame(PING, b"x" * 125, masked=masked)], masked=masked, max_bytes=1).violation is None


def fragments(count: int, *, finished: bool) -> list[Frame]:
    return [(TEXT_PART, b"x"), *[(CONTINUATION_PART, b"x")] * (count - 2), (CONTINUATION if finished else CONTINUATION_PART, b"x")]


@pytest.mark.parametrize("limit", [2, 3, 50])
def test_a_message_may_have_as_many_fragments_as_the_limit_and_no_more(masked: bool, limit: int) -> None:
    allowed: list[Frame] = [*fragments(limit, finished=True), (PING, b""), *fragments(limit, finished=True)]
    assert read([stream(allowed, masked=masked)], masked=masked, max_fragments=limit).messages == ["x" * limit] * 2
    too_many = [*allowed, *fragments(limit + 1, finished=True)]
    for chunks in whole_and_bytewise(too_many, masked):
        outcome = read(chunks, masked=masked, max_fragments=limit)
        assert (outcome.messages, outcome.violation) == (["x" * limit] * 2, 1008)


def test_a_limit_of_one_fragment_allows_whole_messages_only(masked: bool) -> None:
    whole: list[Frame] = [(TEXT, b"a"), (TEXT | COMPRESSED, HELLO)]
    assert read([stream(whole, masked=masked)], masked=masked, max_fragments=1, deflate=Deflate()).messages == ["a", "Hello"]
    assert read([stream(fragments(2, finished=True), masked=masked)], masked=masked, max_fragments=1).violation == 1008


def test_control_frames_do_not_count_as_fragments(masked: bool) -> None:
    frames: list[Frame] = [(TEXT_PART, b"a"), *[(PING, b"")] * 10, (CONTINUATION, b"b")]
    assert read([stream(frames, masked=masked)], masked=masked, max_fragments=2).messages == ["ab"]


def test_a_limit_of_zero_is_no_limit(masked: bool) -> None:
    size = 300_000
    data = frame(BINARY, b"x" * size, masked=masked)
    data += stream(fragments(3000, finished=True), masked=masked)
    data += frame(TEXT | COMPRESSED, deflated(b"y" * size), masked=masked)
    assert read([data], masked=masked, deflate=Deflate()).messages == [b"x" * size, "x" * 3000, "y" * size]


def test_there_are_no_limits_by_default() -> None:
    reader = MessageReader(masked=False)
    reader.feed(stream(fragments(1000, finished=True), masked=False))
    assert list(reader.messages) == ["x" * 1000]


# Compressed messages (RFC 7692, section 6)

INFLATED: list[tuple[str, list[Frame], list[str | bytes]]] = [
    ("text", [(TEXT | COMPRESSED, HELLO)], ["Hello"]),
    ("binary", [(BINARY | COMPRESSED, HELLO)], [b"Hello"]),
    ("empty", [(TEXT | COMPRESSED, b"\x00")], [""]),
    ("uncompressed although it could be", [(TEXT, b"Hello"), (TEXT_PART, b"Hel"), (CONTINUATION, b"lo")], ["Hello", "Hello"]),
    ("fragments", [(TEXT_PART | COMPRESSED, HELLO[:3]), (CONTINUATION, HELLO[3:])], ["Hello"]),
    ("empty last fragment", [(TEXT_PART | COMPRESSED, HELLO), (CONTINUATION, b"")], ["Hello"]),
    ("empty first fragment", [(TEXT_PART | COMPRESSED, b""), (CONTINUATION, HELLO)], ["Hello"]),
    (
        "pings between fragments",
        [(TEXT_PART | COMPRESSED, HELLO[:1]), (PING, b"x"), (CONTINUATION_PART, HELLO[1:2]), (PING, b"x"), (CONTINUATION, HELLO[2:])],
        ["Hello"],
    ),
    (
        "compressed and uncompressed in turn",
        [(TEXT | COMPRESSED, HELLO), (TEXT, b"a"), (BINARY | COMPRESSED, HELLO), (TEXT_PART, b"b"), (CONTINUATION, b"c")],
        ["Hello", "a", b"Hello", "bc"],
    ),
]


@pytest.mark.parametrize(("frames", "messages"), [pytest.param(*case, id=name) for name, *case in INFLATED])
def test_compressed_frames_are_read_as_messages(masked: bool, frames: list[Frame], messages: list[str | bytes]) -> None:
    for chunks in whole_and_bytewise(frames, masked):
        outcome = read(chunks, masked=masked, deflate=Deflate())
        assert (outcome.messages, outcome.violation) == (messages, None)


WRONG_WHEN_COMPRESSED: list[tuple[str, list[Frame], int]] = [
    ("RSV1 in a continuation", [(TEXT_PART | COMPRESSED, HELLO[:3]), (CONTINUATION | COMPRESSED, HELLO[3:])], 1002),
    ("RSV1 in an uncompressed message's continuation", [(TEXT_PART, b"a"), (CONTINUATION | COMPRESSED, HELLO)], 1002),
    *((f"RSV1 in control frame {first:02x}", [(first | COMPRESSED, b"")], 1002) for first in (CLOSE, PING, PONG)),
    ("another reserved bit", [(0xA1, b"")], 1002),
    ("another reserved bit as well", [(0xE1, HELLO)], 1002),
    ("reserved type of block", [(BINARY | COMPRESSED, b"\x07")], 1007),
    ("reserved type of block in a fragment", [(BINARY_PART | COMPRESSED, HELLO + DEFLATE_TAIL), (CONTINUATION_PART, b"\x07")], 1007),
    *((f"text with {what}", [(TEXT | COMPRESSED, deflated(text))], 1007) for what, text in (NOT_UTF8 | TRUNCATED_UTF8).items()),
    ("first fragment is not UTF-8", [(TEXT_PART | COMPRESSED, deflated(b"\xff") + DEFLATE_TAIL)], 1007),
]


@pytest.mark.parametrize(("frames", "code"), [pytest.param(*case, id=name) for name, *case in WRONG_WHEN_COMPRESSED])
def test_violations_in_compressed_messages(masked: bool, frames: list[Frame], code: int) -> None:
    for chunks in whole_and_bytewise([(TEXT, b"before"), *frames], masked):
        assert read(chunks, masked=masked, deflate=Deflate()) == Outcome(["before"], [], code)


def test_the_limit_applies_to_the_inflated_message(masked: bool) -> None:
    payload = b"x" * 10_000
    for frames in (
        [(TEXT | COMPRESSED, deflated(payload))],
        [(TEXT_PART | COMPRESSED, deflated(payload)[:5]), (CONTINUATION, deflated(payload)[5:])],
    ):
        chunks = [stream(frames, masked=masked)]
        assert read(chunks, masked=masked, max_bytes=10_000, deflate=Deflate()).messages == [payload.decode()]
        assert read(chunks, masked=masked, max_bytes=9_999, deflate=Deflate()) == Outcome([], [], 1009)


@pytest.mark.parametrize("size", [1, 10, 1000, 100_000])
def test_an_incompressible_message_may_be_as_large_as_the_limit(size: int) -> None:
    payload = os.urandom(size)
    compressed = deflated(payload)
    assert len(compressed) > size
    for frames in ([(BINARY | COMPRESSED, compressed)], [(BINARY_PART | COMPRESSED, compressed[:1]), (CONTINUATION, compressed[1:])]):
        assert read([stream(frames, masked=False)], masked=False, max_bytes=size, deflate=Deflate()).messages == [payload]


def test_much_too_long_compressed_fragments_are_refused_by_their_header(masked: bool) -> None:
    empty_block = b"\x00\x00\x00\xff\xff"
    begun = frame(BINARY_PART | COMPRESSED, empty_block * 25, masked=masked)
    assert read([begun], masked=masked, max_bytes=100, deflate=Deflate()).violation is None
    announced = begun + head(CONTINUATION, 125, masked=masked)
    assert read([announced], masked=masked, max_bytes=100, deflate=Deflate()).violation == 1009
