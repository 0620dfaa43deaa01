"""Frames as bytes: lengths, masks, close codes and close payloads (RFC 6455, sections 5 and 7.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.protocol.frames import CloseCode, Opcode, apply_mask, encode_close, encode_frame, is_sendable_close_code, new_masking_key

from .wire import KEY, xor

LENGTHS = [
    (0, "00"),
    (1, "01"),
    (125, "7d"),
    (126, "7e 007e"),
    (127, "7e 007f"),
    (65535, "7e ffff"),
    (65536, "7f 0000000000010000"),
]


@pytest.mark.parametrize(("length", "field"), LENGTHS)
def test_a_length_is_encoded_in_the_fewest_bytes(length: int, field: str) -> None:
    payload = b"\xa5" * length
    assert encode_frame(Opcode.BINARY, payload) == b"\x82" + bytes.fromhex(field) + payload


@pytest.mark.parametrize(("length", "field"), LENGTHS)
def test_a_masked_frame_has_its_key_and_a_masked_payload(length: int, field: str) -> None:
    payload = bytes(range(256)) * 257
    payload = payload[:length]
    length_field = bytearray.fromhex(field)
    length_field[0] |= 0x80
    assert encode_frame(Opcode.BINARY, payload, key=KEY) == b"\x82" + length_field + KEY + xor(payload, KEY)


# RFC 6455, section 5.7, and RFC 7692, section 7.2.3.1.
EXAMPLES = [
    pytest.param(encode_frame(Opcode.TEXT, b"Hello"), "810548656c6c6f", id="text"),
    pytest.param(encode_frame(Opcode.TEXT, b"Hello", key=bytes.fromhex("37fa213d")), "818537fa213d7f9f4d5158", id="masked text"),
    pytest.param(encode_frame(Opcode.TEXT, b"Hel", fin=False), "010348656c", id="first fragment"),
    pytest.param(encode_frame(Opcode.CONTINUATION, b"lo"), "80026c6f", id="last fragment"),
    pytest.param(encode_frame(Opcode.PING, b"Hello"), "890548656c6c6f", id="ping"),
    pytest.param(encode_frame(Opcode.PONG, b"Hello", key=bytes.fromhex("37fa213d")), "8a8537fa213d7f9f4d5158", id="masked pong"),
    pytest.param(encode_frame(Opcode.CLOSE, b""), "8800", id="close"),
    pytest.param(encode_frame(Opcode.TEXT, bytes.fromhex("f248cdc9c90700"), rsv1=True), "c107f248cdc9c90700", id="compressed"),
    pytest.param(encode_frame(Opcode.TEXT, bytes.fromhex("f248cd"), fin=False, rsv1=True), "4103f248cd", id="compressed fragment"),
]


@pytest.mark.parametrize(("encoded", "expected"), EXAMPLES)
def test_the_examples_of_the_rfcs(encoded: bytes, expected: str) -> None:
    assert encoded.hex() == expected


@pytest.mark.parametrize("length", [*range(10), 124, 125, 126, 127, 128, 129, 65535, 65536, 65537])
def test_payloads_of_every_length_are_masked(length: int) -> None:
    payload = (bytes(range(255, -1, -1)) * 257)[:length]
    assert apply_mask(payload, KEY) == xor(payload, KEY)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_twice_gives_back_the_payload(payload: bytes, key: bytes) -> None:
    masked = apply_mask(payload, key)
    assert masked == xor(payload, key)
    assert apply_mask(masked, key) == payload


def test_new_masking_keys_differ() -> None:
    keys = {new_masking_key() for _ in range(10)}
    assert len(keys) == 10
    assert {len(key) for key in keys} == {4}


CLOSE_CODES = {
    **dict.fromkeys([0, 1, 999, 1004, 1015, 1016, 1100, 2000, 2999, 5000, 65535, -1], False),
    **dict.fromkeys([CloseCode.NO_STATUS, CloseCode.ABNORMAL], False),
    **dict.fromkeys([1000, 1001, 1002, 1003, *range(1007, 1015)], True),
    **dict.fromkeys([3000, 3999, 4000, 4999], True),
}


@pytest.mark.parametrize(("code", "may_be_sent"), CLOSE_CODES.items())
def test_which_codes_a_close_frame_may_carry(code: int, may_be_sent: bool) -> None:
    assert is_sendable_close_code(code) is may_be_sent


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1000, "", b"\x03\xe8"),
        (1001, "bye", b"\x03\xe9bye"),
        (4999, "Grüße", b"\x13\x87Gr\xc3\xbc\xc3\x9fe"),
        (1000, "x" * 123, b"\x03\xe8" + b"x" * 123),
        (1000, "x" * 124, b"\x03\xe8" + b"x" * 123),
        (1000, "é" * 62, b"\x03\xe8" + "é".encode() * 61),
        (1000, "x" + "é" * 61, b"\x03\xe8x" + "é".encode() * 61),
        (1000, "€" * 41, b"\x03\xe8" + "€".encode() * 41),
        (1000, "x" + "€" * 41, b"\x03\xe8x" + "€".encode() * 40),
        (1000, "😀" * 31, b"\x03\xe8" + "😀".encode() * 30),
        (CloseCode.NO_STATUS, "", b""),
        (CloseCode.NO_STATUS, "this is not sent", b""),
    ],
)
def test_a_close_frame_has_a_code_and_a_reason_that_fits(code: int, reason: str, payload: bytes) -> None:
    assert encode_close(code, reason) == payload


@given(st.text(st.sampled_from("aé€😀"), max_size=130))
def test_a_long_reason_is_cut_at_the_last_character_that_fits(reason: str) -> None:
    payload = encode_close(1000, reason)
    sent = payload[2:].decode()
    assert reason.startswith(sent)
    assert len(payload) <= 125
    assert sent == reason or len(payload) + len(reason[len(sent)].encode()) > 125
