"""Compressed messages as bytes (RFC 7692, sections 7.2 and 8). The negotiation is in `test_negotiation`."""

from __future__ import annotations

import os
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wschat.errors import ProtocolViolation, UsageError
from wschat.protocol.deflate import Deflate, Deflater, Inflater

from .wire import DEFLATE_TAIL, deflated, pieces

LIMIT = 1 << 20


def inflate(*parts: str | bytes) -> bytes:
    """Inflate a message from these parts; parts of type str are hexadecimal."""
    inflater = Inflater(15, keep_context=True)
    data = [bytes.fromhex(part) if isinstance(part, str) else part for part in parts]
    return b"".join(inflater.inflate(part, LIMIT, number == len(data) - 1) for number, part in enumerate(data))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param(["f248cdc9c90700"], b"Hello", id="one block"),
        pytest.param(["f248cd", "c9c90700"], b"Hello", id="two fragments"),
        pytest.param(["000500faff48656c6c6f00"], b"Hello", id="no compression"),
        pytest.param(["f348cdc9c9070000"], b"Hello", id="BFINAL"),
        pytest.param(["f248050000 00ffff cac9c90700"], b"Hello", id="two blocks"),
        pytest.param(["00"], b"", id="empty"),
    ],
)
def test_the_examples_of_the_rfc_are_inflated(parts: list[str], message: bytes) -> None:
    assert inflate(*parts) == message


@pytest.mark.parametrize(("keep_context", "second"), [(True, "f200110000"), (False, "f248cdc9c90700")])
def test_the_example_of_a_second_message_is_inflated(keep_context: bool, second: str) -> None:
    inflater = Inflater(15, keep_context=keep_context)
    for message in ("f248cdc9c90700", second):
        assert inflater.inflate(bytes.fromhex(message), LIMIT, True) == b"Hello"


def test_an_empty_message_is_one_byte_however_often_it_is_sent() -> None:
    deflater = Deflater(15, keep_context=True)
    assert deflater.deflate(b"") == deflater.deflate(b"") == b"\x00"
    deflater.deflate(b"x")
    assert deflater.deflate(b"") == deflater.deflate(b"") == b"\x00"


# Random, so that only the repetition can be compressed, for which the largest window is needed.
FAR_APART = os.urandom(1 << 14) * 2
# Repetitive within 512 bytes as well as over long distances.
LINES = b"".join(b"line %05d of a log that says the same again and again\n" % (i % 700) for i in range(2000))


def inflate_with_window(compressed: bytes, bits: int) -> bytes:
    """Inflate with zlib and a window of this size, a few bytes at a time: data that is inflated at once needs no window."""
    inflater = zlib.decompressobj(-bits)
    return b"".join(inflater.decompress(piece) for piece in pieces(compressed + DEFLATE_TAIL, range(0, len(compressed), 50)))


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("payload", [FAR_APART, LINES, b"", b"Hello"], ids=["far apart", "lines", "empty", "short"])
def test_a_deflater_uses_no_larger_window_than_negotiated(bits: int, payload: bytes) -> None:
    compressed = Deflater(bits, keep_context=False).deflate(payload)
    assert not compressed.endswith(DEFLATE_TAIL)
    assert inflate_with_window(compressed, bits) == payload
    assert Inflater(bits, keep_context=False).inflate(compressed, len(payload), True) == payload


def test_a_deflater_uses_a_larger_window() -> None:
    compressed = Deflater(15, keep_context=False).deflate(FAR_APART)
    assert len(compressed) < 0.6 * len(FAR_APART)
    with pytest.raises(zlib.error, match="too far back"):
        inflate_with_window(compressed, 13)


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("keep_context", [True, False])
def test_data_that_zlib_deflated_is_inflated_with_the_same_window(bits: int, keep_context: bool) -> None:
    # zlib has no window of 8 bits for raw deflate, but short data needs no larger one.
    payloads = [FAR_APART, LINES, LINES, FAR_APART] if bits > 8 else [b"Hello", b"", b"Hello" * 10]
    inflater = Inflater(bits, keep_context=keep_context)
    compressor = zlib.compressobj(wbits=-max(bits, 9))
    for payload in payloads:
        compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert inflater.inflate(compressed.removesuffix(DEFLATE_TAIL), LIMIT, True) == payload
        if not keep_context:
            compressor = zlib.compressobj(wbits=-max(bits, 9))


def test_a_window_that_zlib_cannot_compress_with_is_refused() -> None:
    with pytest.raises(UsageError, match="8 bits"):
        Deflater(8, keep_context=False)
    with pytest.raises(UsageError, match="8 bits"):
        Deflate(client_max_window_bits=8).deflater(is_client=True)


def test_without_context_every_message_is_inflated_by_itself() -> None:
    deflater = Deflater(15, keep_context=False)
    for _ in range(3):
        assert zlib.decompressobj(-15).decompress(deflater.deflate(LINES) + DEFLATE_TAIL) == LINES


def test_with_context_a_repeated_message_takes_few_bytes() -> None:
    deflater = Deflater(15, keep_context=True)
    payload = os.urandom(1000)
    assert len(deflater.deflate(payload)) > 1000
    assert len(deflater.deflate(payload)) < 30


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("client_keeps_context", [True, False])
@pytest.mark.parametrize("server_keeps_context", [True, False])
def test_each_side_uses_its_own_window_and_context(is_client: bool, client_keeps_context: bool, server_keeps_context: bool) -> None:
    negotiated = Deflate(
        server_no_context_takeover=not server_keeps_context,
        client_no_context_takeover=not client_keeps_context,
        server_max_window_bits=15,
        client_max_window_bits=9,
    )
    keeps_context = client_keeps_context if is_client else server_keeps_context
    assert negotiated.window_bits(is_client=is_client) == (9 if is_client else 15)
    assert negotiated.keeps_context(is_client=is_client) is keeps_context
    deflater = negotiated.deflater(is_client=is_client)
    inflater = negotiated.inflater(is_client=not is_client)
    short = os.urandom(100)
    sizes = []
    for payload in (FAR_APART, short, short):
        compressed = deflater.deflate(payload)
        sizes.append(len(compressed))
        assert inflater.inflate(compressed, LIMIT, True) == payload
    assert (sizes[0] < 0.6 * len(FAR_APART)) is not is_client
    assert (sizes[2] < sizes[1]) is keeps_context


@settings(deadline=None)
@given(st.booleans(), st.integers(9, 15), st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=4))
def test_a_message_in_parts_is_inflated_to_the_same_whole(keep_context: bool, bits: int, messages: list[list[bytes]]) -> None:
    deflater = Deflater(bits, keep_context=keep_context)
    inflater = Inflater(bits, keep_context=keep_context)
    for parts in messages:
        *rest, last = parts
        compressed = b"".join(deflater.deflate(part, final=False) for part in rest) + deflater.deflate(last)
        assert inflater.inflate(compressed, LIMIT, True) == b"".join(parts)


@settings(deadline=None)
@given(st.booleans(), st.lists(st.binary(max_size=40), max_size=4), st.data())
def test_compressed_bytes_may_be_cut_anywhere(keep_context: bool, messages: list[bytes], data: st.DataObject) -> None:
    deflater = Deflater(15, keep_context=keep_context)
    inflater = Inflater(15, keep_context=keep_context)
    for message in messages:
        compressed = deflater.deflate(message)
        *rest, last = pieces(compressed, data.draw(st.lists(st.integers(0, len(compressed)), max_size=4)))
        inflated = b"".join(inflater.inflate(part, LIMIT, False) for part in rest)
        assert inflated + inflater.inflate(last, LIMIT, True) == message


# Messages that contain final blocks (RFC 7692, section 7.2.3.4)


def ended(payload: bytes, window: bytes = b"") -> bytes:
    """A part of a message that ends with a final block; it may refer to data in the window."""
    compressor = zlib.compressobj(wbits=-15, zdict=window)
    return compressor.compress(payload) + compressor.flush(zlib.Z_FINISH)


def continued(payload: bytes, window: bytes) -> bytes:
    """The last part of a message, which refers to data in the window."""
    compressor = zlib.compressobj(wbits=-15, zdict=window)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(DEFLATE_TAIL)


BLOB = os.urandom(100)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param([ended(b"Hel") + ended(b"lo") + b"\x00"], b"Hello", id="two final blocks"),
        pytest.param([ended(b"Hel"), ended(b"lo"), b"\x00"], b"Hello", id="two final blocks in two fragments"),
        pytest.param([ended(b"Hel") + deflated(b"lo")], b"Hello", id="a block after a final block"),
        pytest.param([ended(b"") + ended(b"") + b"\x00"], b"", id="empty"),
        pytest.param([ended(BLOB) + continued(BLOB, BLOB)], BLOB * 2, id="a reference to data before the final block"),
        pytest.param(
            [ended(BLOB), continued(BLOB, BLOB)], BLOB * 2, id="a reference to data before the final block from the next fragment"
        ),
        pytest.param([deflated(BLOB) + DEFLATE_TAIL, ended(b""), continued(BLOB, BLOB)], BLOB * 2, id="a reference to an earlier fragment"),
        pytest.param(
            [deflated(FAR_APART) + DEFLATE_TAIL, ended(b"Hello"), continued(FAR_APART, FAR_APART + b"Hello")],
            FAR_APART + b"Hello" + FAR_APART,
            id="a distant reference to an earlier fragment",
        ),
        pytest.param([*[ended(b"x")] * 100, b"\x00"], b"x" * 100, id="a final block in each of many fragments"),
        pytest.param([ended(FAR_APART) + continued(FAR_APART, FAR_APART)], FAR_APART * 2, id="a reference across the whole window"),
    ],
)
def test_a_message_may_continue_after_a_final_block(parts: list[bytes], message: bytes) -> None:
    assert inflate(*parts) == message


def test_the_next_message_may_refer_to_data_before_a_final_block() -> None:
    inflater = Inflater(15, keep_context=True)
    assert inflater.inflate(deflated(BLOB), LIMIT, True) == BLOB
    assert inflater.inflate(ended(b"Hello") + b"\x00", LIMIT, True) == b"Hello"
    assert inflater.inflate(continued(BLOB, BLOB + b"Hello"), LIMIT, True) == BLOB


@pytest.mark.parametrize("begun", [b"", ended(b"")], ids=["at once", "after a final block"])
def test_without_context_a_message_that_refers_to_an_earlier_one_is_refused(begun: bytes) -> None:
    inflater = Inflater(15, keep_context=False)
    assert inflater.inflate(ended(BLOB) + b"\x00", LIMIT, True) == BLOB
    with pytest.raises(ProtocolViolation) as caught:
        inflater.inflate(begun + continued(BLOB, BLOB), LIMIT, True)
    assert caught.value.code == 1007


def test_a_final_block_does_not_lift_the_limit() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Inflater(15, keep_context=False).inflate(ended(b"x" * 60) + ended(b"x" * 60) + b"\x00", 100, True)
    assert caught.value.code == 1009


def test_many_final_blocks_are_refused_or_take_linear_time() -> None:
    def processor_time(count: int) -> float:
        began = time.process_time()
        try:
            Inflater(15, keep_context=False).inflate(ended(b"") * count + b"\x00", LIMIT, True)
        except ProtocolViolation:
            pass
        return time.process_time() - began

    few = min(processor_time(5_000) for _ in range(5))
    assert processor_time(200_000) < 80 * few + 0.1


# Invalid and too large data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x06", id="reserved type of block"),
        pytest.param(b"\x00\x05\x00\x00\x00Hello", id="stored block with a wrong length"),
        pytest.param(bytes.fromhex("f200110000"), id="reference to data before the first message"),
        pytest.param(b"\xff" * 20, id="random bytes"),
        pytest.param(deflated(b"Hello") + DEFLATE_TAIL + b"\x06", id="invalid after the end of a block"),
        pytest.param(ended(b"Hello") + b"\x06", id="invalid after a final block"),
    ],
)
@pytest.mark.parametrize("final", [True, False])
def test_invalid_data_is_refused(data: bytes, final: bool) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Inflater(15, keep_context=True).inflate(data, LIMIT, final)
    assert caught.value.code == 1007


def inflated_or_refused(inflater: Inflater, data: bytes, max_bytes: int, final: bool) -> tuple[bytes, int | None]:
    try:
        return inflater.inflate(data, max_bytes, final), None
    except ProtocolViolation as error:
        return b"", error.code


@pytest.mark.parametrize("length", range(len(deflated(LINES[:200]))))
def test_truncated_data_is_inflated_in_part_or_refused(length: int) -> None:
    # Truncation cannot always be detected: the inflater returns what it could inflate, or refuses the data.
    inflater = Inflater(15, keep_context=False)
    inflated, code = inflated_or_refused(inflater, deflated(LINES[:200])[:length], LIMIT, True)
    assert len(inflated) < 1000
    assert code in (None, 1007)
    if code is None:
        assert inflater.inflate(deflated(b"Hello"), LIMIT, True) == b"Hello"


@settings(deadline=None)
@given(st.binary(max_size=60), st.booleans(), st.integers(0, 300))
def test_any_bytes_are_inflated_within_the_limit_or_refused(data: bytes, final: bool, max_bytes: int) -> None:
    inflated, code = inflated_or_refused(Inflater(15, keep_context=True), data, max_bytes, final)
    assert len(inflated) <= max_bytes
    assert code in (None, 1007, 1009)


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536])
def test_a_message_may_be_inflated_up_to_the_limit(size: int) -> None:
    compressed = deflated(b"x" * size)
    assert Inflater(15, keep_context=False).inflate(compressed, size, True) == b"x" * size
    if size:
        with pytest.raises(ProtocolViolation) as caught:
            Inflater(15, keep_context=False).inflate(compressed, size - 1, True)
        assert caught.value.code == 1009


def test_a_decompression_bomb_stops_at_the_limit_and_takes_little_memory() -> None:
    bomb = (deflated(bytes(1 << 20)) + DEFLATE_TAIL) * 1024  # 1 GiB of zeros
    assert len(bomb) < 2 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation) as caught:
            Inflater(15, keep_context=False).inflate(bomb, LIMIT, True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == 1009
    assert peak < 8 << 20


def test_between_messages_an_inflater_keeps_no_more_than_its_window() -> None:
    inflater = Inflater(15, keep_context=True)
    compressed = deflated(bytes(1 << 20))
    tracemalloc.start()
    try:
        for _ in range(3):
            inflater.inflate(compressed, LIMIT, True)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 300_000
