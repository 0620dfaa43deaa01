"""A transcript describes all messages in order, and its length is limited."""

from __future__ import annotations

import re

from wschat.protocol.deflate import Deflate
from wschat.protocol.encoding import Encoding
from wschat.protocol.frames import Opcode, encode_close, encode_frame
from wschat.testing.transcript import Transcript

KEY = b"key!"


def lines(transcript: object) -> list[str]:
    """Return the lines without their times."""
    return [re.sub(r"^ +[0-9.]+ s ", "", line).strip() for line in str(transcript).splitlines()]


def client() -> Transcript:
    return Transcript("the connection", is_client=True)


def test_both_directions_in_order() -> None:
    transcript = client()
    transcript.sent(encode_frame(Opcode.TEXT, b"hello", key=KEY))
    transcript.received(encode_frame(Opcode.PING, b"1") + encode_frame(Opcode.BINARY, b"\0") + encode_frame(Opcode.PONG, b""))
    transcript.sent(encode_frame(Opcode.CLOSE, encode_close(4000, "enough"), key=KEY))
    transcript.received(encode_frame(Opcode.CLOSE, b"") + encode_frame(Opcode.TEXT, b"more"))
    transcript.note("received the end of the stream")
    assert lines(transcript) == [
        "the connection:",
        "sent text 'hello'",
        "received ping b'1'",
        r"received binary b'\x00'",
        "received pong b''",
        "sent close 4000 enough",
        "received close 1005",
        "received a frame of 6 bytes",
        "received the end of the stream",
    ]


def test_an_empty_transcript() -> None:
    assert str(client()) == "the connection: nothing was sent or received"


def test_compressed_messages_are_shown_as_they_were_sent() -> None:
    deflate = Deflate()
    transcript = Transcript("the server's end", is_client=False, deflate=deflate)
    for _ in range(2):
        compressed = Encoding(masks=True, window_bits=15).compressed_frame(Opcode.TEXT, b"a" * 60, deflate.deflater(is_client=True))
        transcript.received(compressed)
    assert lines(transcript)[1:] == [f"received text '{'a' * 60}'"] * 2


def test_fragments_and_an_incomplete_frame() -> None:
    transcript = client()
    transcript.received(encode_frame(Opcode.TEXT, b"one ", fin=False))
    transcript.received(encode_frame(Opcode.CONTINUATION, b"two")[:3])
    assert lines(transcript)[1:] == ["received a frame of 6 bytes", "received 3 bytes of an incomplete frame"]


def test_bytes_after_an_invalid_frame_are_only_counted() -> None:
    transcript = client()
    transcript.received(encode_frame(Opcode.TEXT, b"\xff") + encode_frame(Opcode.TEXT, b"x"))
    transcript.received(b"anything")
    assert lines(transcript)[1:] == [
        "received an invalid frame of 3 bytes: text is not UTF-8",
        "received a frame of 3 bytes",
        "received 8 bytes",
    ]


def test_long_payloads_and_long_transcripts_are_shortened() -> None:
    transcript = client()
    for number in range(250):
        transcript.received(encode_frame(Opcode.TEXT, str(number).encode()))
    transcript.received(encode_frame(Opcode.TEXT, b"x" * 1000))
    shown = lines(transcript)
    assert shown[1:3] == ["(51 earlier entries are left out)", "received text '51'"]
    assert shown[-1] == f"received text '{'x' * 100}'… (1000 characters)"
