"""A transcript: what one end of a WebSocket has sent and received, for people who read why a test failed."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic

from wschat.errors import ProtocolViolation
from wschat.protocol.deflate import Deflate
from wschat.protocol.messages import Close, MessageReader, Ping, Pong
from wschat.testing.frames import FrameSplitter

_MAX_ENTRIES = 200
_MAX_CHARACTERS = 100


class Transcript:
    """The frames and other events of one connection, the last 200. Thread-safe; no method waits."""

    def __init__(self, title: str, *, is_client: bool, deflate: Deflate | None = None) -> None:
        """`is_client` tells whose end this is; `deflate` is the compression agreed on."""
        self._title = title
        self._began = monotonic()
        # Guards all attributes below. Taken while the lock of a transport is held.
        self._transcript_lock = threading.Lock()
        self._decoders = {
            "sent": FrameDecoder(sent_by_client=is_client, deflate=deflate),
            "received": FrameDecoder(sent_by_client=not is_client, deflate=deflate),
        }
        self._entries: deque[tuple[float, str]] = deque(maxlen=_MAX_ENTRIES)
        self._count = 0

    def sent(self, data: bytes) -> None:
        """Add bytes that were sent; b"" is the end of the stream."""
        self._add_bytes("sent", data)

    def received(self, data: bytes) -> None:
        """Add bytes that were received; b"" is the end of the stream."""
        self._add_bytes("received", data)

    def note(self, text: str) -> None:
        """Add an event that is not a frame."""
        with self._transcript_lock:
            self._add(text)

    def __str__(self) -> str:
        with self._transcript_lock:
            lines = [f"{self._title}:"]
            if self._count > len(self._entries):
                lines.append(f"  ({self._count - len(self._entries)} earlier entries are left out)")
            lines += [f"  {at - self._began:8.3f} s  {text}" for at, text in self._entries]
            lines += [
                f"              {verb} {len(decoder.incomplete)} bytes of an incomplete frame"
                for verb, decoder in self._decoders.items()
                if decoder.incomplete
            ]
        return "\n".join(lines) if len(lines) > 1 else f"{lines[0]} nothing was sent or received"

    def _add_bytes(self, verb: str, data: bytes) -> None:
        with self._transcript_lock:
            for text in self._describe(verb, data) if data else ["the end of the stream"]:
                self._add(f"{verb} {text}")

    def _describe(self, verb: str, data: bytes) -> list[str]:
        """Return a description of each frame that these bytes complete."""
        assert self._transcript_lock.locked()
        return self._decoders[verb].feed(data)

    def _add(self, text: str) -> None:
        assert self._transcript_lock.locked()
        self._entries.append((monotonic(), text))
        self._count += 1


class FrameDecoder:
    """Describes the frames of one direction."""

    def __init__(self, *, sent_by_client: bool, deflate: Deflate | None) -> None:
        inflater = deflate.inflater(is_client=not sent_by_client) if deflate else None
        self._reader = MessageReader(masked=sent_by_client, inflater=inflater)
        self._splitter = FrameSplitter()
        self._is_valid = True

    @property
    def incomplete(self) -> bytes | bytearray:
        """The beginning of a frame whose rest has not come."""
        return self._splitter.incomplete if self._is_valid else b""

    def feed(self, data: bytes) -> list[str]:
        """Return a description of each frame that these bytes complete."""
        if not self._is_valid:
            return [f"{len(data)} bytes"]
        return [self._describe(frame) for frame in self._splitter.feed(data)]

    def _describe(self, frame: bytes) -> str:
        try:
            if self._is_valid:
                self._reader.feed(frame)
        except ProtocolViolation as error:
            self._is_valid = False
            return f"an invalid frame of {len(frame)} bytes: {error.reason}"
        if self._reader.control:
            return _control(self._reader.control.pop())
        if self._reader.messages:
            message = self._reader.messages.popleft()
            return f"{'text' if isinstance(message, str) else 'binary'} {_shortened(message)}"
        return f"a frame of {len(frame)} bytes"  # a fragment, or after a close frame


def _control(frame: Ping | Pong | Close) -> str:
    if isinstance(frame, Close):
        return f"close {int(frame.code)} {frame.reason}".rstrip()
    return f"{'ping' if isinstance(frame, Ping) else 'pong'} {_shortened(frame.payload)}"


def _shortened(payload: str | bytes) -> str:
    if len(payload) <= _MAX_CHARACTERS:
        return repr(payload)
    unit = "characters" if isinstance(payload, str) else "bytes"
    return f"{payload[:_MAX_CHARACTERS]!r}… ({len(payload)} {unit})"
