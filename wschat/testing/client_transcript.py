"""What a client of a fault proxy has sent and received: the opening handshake, then frames."""

from __future__ import annotations

import re

from wschat.protocol.deflate import Deflate, accept_answer
from wschat.testing.transcript import FrameDecoder, Transcript

_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD_BYTES = 64 * 1024
_ACCEPTS = re.compile(rb"HTTP/1\.1 101\b")
_EXTENSIONS = re.compile(rb"\nsec-websocket-extensions:([^\r\n]*)", re.IGNORECASE)


class ClientTranscript(Transcript):
    """A transcript that begins with the opening handshake. Shows only events if the bytes are not HTTP, as with TLS."""

    def __init__(self, title: str) -> None:
        super().__init__(title, is_client=True)
        # Guarded by the lock of the transcript. An entry is removed once the head is complete.
        self._heads = {"sent": b"", "received": b""}
        self._is_websocket = True  # as far as is known

    def _describe(self, verb: str, data: bytes) -> list[str]:
        if not self._is_websocket:
            return []
        if verb not in self._heads:
            return super()._describe(verb, data)
        head, end, rest = (self._heads[verb] + data).partition(_END_OF_HEAD)
        if not end:
            self._heads[verb] = head
            self._is_websocket = len(head) <= _MAX_HEAD_BYTES
            return []
        del self._heads[verb]
        if verb == "received":
            self._open(head)
        # Without a query, which may hold a token.
        first_line = re.sub(rb"\?\S*", b"", head.partition(b"\r\n")[0])
        return [first_line.decode(errors="replace"), *(super()._describe(verb, rest) if rest and self._is_websocket else [])]

    def _open(self, response: bytes) -> None:
        """Decode frames as the head of this response says, or nothing more if it does not open a WebSocket."""
        self._is_websocket = _ACCEPTS.match(response) is not None
        extensions = _EXTENSIONS.search(response)
        if extensions is not None:
            try:
                deflate = accept_answer(extensions[1].decode(), Deflate())
            except ValueError:  # a client must fail the connection
                return
            self._decoders = {verb: FrameDecoder(sent_by_client=verb == "sent", deflate=deflate) for verb in self._decoders}
