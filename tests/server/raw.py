"""A client that sends and reads the bytes that a test wants."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

import wschat
from tests.concurrency import TIMEOUT
from tests.protocol.wire import CLOSE

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
HEADERS = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}


def request(method: str = "GET", target: str = "/", version: str = "HTTP/1.1", headers: dict[str, str | None] | None = None) -> bytes:
    """Return an opening request. `headers` adds or replaces headers, or removes those that are None."""
    merged = {**HEADERS, **(headers or {})}
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in merged.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Response(NamedTuple):
    """A response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


class Raw:
    """A connected socket that waits for at most `TIMEOUT`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT)
        self.socket = sock
        self._input = sock.makefile("rb")

    @classmethod
    def to(cls, server: wschat.WebSocketServer) -> Raw:
        """Connect without sending anything."""
        return cls(socket.create_connection(("127.0.0.1", server.port), TIMEOUT))

    @classmethod
    def opened(cls, server: wschat.WebSocketServer) -> Raw:
        """Open a WebSocket without extensions."""
        raw = cls.to(server)
        assert raw.ask(request()).status == 101
        return raw

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> Response:
        """Send a request and read the response."""
        self.send(data)
        return self.response()

    def response(self) -> Response:
        status = int(self._input.readline().split()[1])
        headers = {}
        while line := self._input.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Response(status, headers, self._input.read(int(headers.get("content-length", 0))).decode())

    def frame(self) -> tuple[int, bytes]:
        """Read a frame. Return its first byte and its payload."""
        first, length = self._input.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._input.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._input.read(8))
        return first, self._input.read(length)

    def close_code(self) -> int:
        """Read a close frame. Return its code."""
        first, payload = self.frame()
        assert first == CLOSE
        return int.from_bytes(payload[:2], "big")

    def rest(self) -> bytes:
        """Read until the server ends the connection."""
        try:
            return self._input.read()
        except ConnectionResetError:
            return b""

    def vanish(self) -> None:
        """End the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._input.close()
        self.socket.close()
