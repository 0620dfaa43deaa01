"""The peer of a measured client: `python -m tests.bench.peer` prints its port and serves one connection after the other.

The path of the request selects what it does:

    /texts/NUMBER    sends this number of texts as fast as the kernel takes them, and a close frame
    /pings           answers each ping, which must come alone in a read
    /drop/NUMBER     drops this number of texts of 64 bytes

The texts are made beforehand and sent by `sendall`, a loop in C: no client written in Python is as fast.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket

import click

from tests.bench.crowd import TEXT_BYTES, text_of
from tests.concurrency import TIMEOUT

TEXTS = 1000
"""The number of different texts, after which they are repeated."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_CLOSE = b"\x88\x02\x03\xe8"
_PING_BYTE = 0x89
_READ_BYTES = 64 * 1024


def main() -> None:
    """Serve until the process is killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        click.echo(listener.getsockname()[1])
        while True:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.settimeout(TIMEOUT)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(sock)


def serve(sock: socket.socket) -> None:
    """Open a WebSocket, and do what the path of the request selects."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(_READ_BYTES)
    request, *lines = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    _, kind, *number = request.split()[1].decode().split("/")
    sock.settimeout(None)  # a timeout would make each call two system calls
    if kind == "texts":
        send_texts(sock, int(number[0]))
    elif kind == "pings":
        answer_pings(sock)
    else:
        drop_texts(sock, int(number[0]))


def send_texts(sock: socket.socket, number: int) -> None:
    """Send this number of texts of 64 bytes, a multiple of `TEXTS`, and wait for the reply to the close frame."""
    texts = b"".join(b"\x81\x40" + text_of(each) for each in range(TEXTS))
    for _ in range(number // TEXTS):
        sock.sendall(texts)
    sock.sendall(_CLOSE)
    sock.recv(_READ_BYTES)


def drop_texts(sock: socket.socket, number: int) -> None:
    """Drop this number of texts, and wait for the close frame."""
    missing = number * (6 + TEXT_BYTES)
    while missing >= 0 and (data := sock.recv(_READ_BYTES)):
        missing -= len(data)


def answer_pings(sock: socket.socket) -> None:
    """Answer pings with a payload of 4 bytes."""
    recv, send, from_bytes = sock.recv, sock.send, int.from_bytes
    while (data := recv(_READ_BYTES)) and data[0] == _PING_BYTE:
        send(b"\x8a\x04" + (from_bytes(data[2:6], "little") ^ from_bytes(data[6:10], "little")).to_bytes(4, "little"))


if __name__ == "__main__":
    main()
