"""Frames are found in a stream however its bytes are split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wschat.protocol.frames import Opcode, encode_close, encode_frame
from wschat.testing.frames import CloseFinder, FrameSplitter, frame_size

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
CLOSE = encode_frame(Opcode.CLOSE, encode_close(1000, ""))

messages = st.builds(
    encode_frame,
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]),
    st.sampled_from([b"", b"\x88\x00", bytes(125), bytes(126), bytes(65535), bytes(65536)]),
    key=st.sampled_from([None, b"\x88\x02\x03\x04"]),
)


def divided(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [part for part in [*parts, data] if part]


@given(st.lists(messages, max_size=4), st.lists(st.integers(1, 70_000), max_size=8))
def test_a_stream_is_divided_into_its_frames(frames: list[bytes], sizes: list[int]) -> None:
    splitter = FrameSplitter()
    found = [frame for part in divided(b"".join(frames), sizes) for frame in splitter.feed(part)]
    assert found == frames
    assert not splitter.incomplete


@given(st.lists(messages, max_size=3), st.lists(st.integers(1, 200), max_size=12))
def test_a_close_frame_is_found_behind_the_opening_and_other_frames(frames: list[bytes], sizes: list[int]) -> None:
    finder = CloseFinder()
    before = HEAD + b"".join(frames)
    at = 0
    for part in divided(before + CLOSE, sizes):
        found = finder.find(part)
        if found is not None:
            assert at + found == len(before)
            return
        at += len(part)
    raise AssertionError("no close frame was found")


def test_the_size_of_a_frame_is_unknown_until_its_length_is_there() -> None:
    frame = encode_frame(Opcode.TEXT, bytes(300), key=b"1234")
    assert [frame_size(frame[:size]) for size in (0, 1, 3, 4)] == [None, None, None, len(frame)]
