"""A process that holds open WebSockets. It answers their pings, and some of them send a message each second, which is echoed.

    python -m tests.bench.idle_sockets PORT COUNT

Prints a line when all are open, and its `Figures` as JSON after its standard input has ended.
"""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import sys
from dataclasses import asdict, dataclass, field
from time import monotonic

import click

from tests.bench.crowd import masked
from tests.concurrency import TIMEOUT
from tests.server.raw import request

# Each address has a share of the WebSockets, as the limit per address is for clients of different places.
_PER_ADDRESS = 150
_SENDERS_EACH_TICK = 5
_TICK_SECONDS = 0.05
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89
_PONG = b"\x8a"


@dataclass
class Figures:
    """What has happened to the WebSockets."""

    opened: int = 0
    """How many were opened."""
    pings: int = 0
    """How many pings of the server were answered."""
    echoes: list[float] = field(default_factory=list)
    """The seconds that each echo took."""
    missing: int = 0
    """Echoes that did not come."""
    closed: int = 0
    """WebSockets that have ended early."""


class IdleSockets:
    """Open WebSockets, all in the calling thread."""

    def __init__(self, port: int, count: int) -> None:
        self.figures = Figures()
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._sent_at: dict[int, float] = {}  # by descriptor, of messages that were not echoed yet
        for number in range(count):
            sock = _open(port, f"127.0.1.{1 + number // _PER_ADDRESS}")
            self._sockets[sock.fileno()] = sock
            self._epoll.register(sock, select.EPOLLIN)
        self.figures.opened = count

    def run(self, until_readable: int) -> Figures:
        """Answer and send until this descriptor is readable."""
        self._epoll.register(until_readable, select.EPOLLIN)
        next_tick = monotonic()
        while True:
            for descriptor, _ in self._epoll.poll(max(0.0, next_tick - monotonic())):
                if descriptor == until_readable:
                    self.figures.missing = len(self._sent_at)
                    return self.figures
                self._read(descriptor)
            if monotonic() >= next_tick:
                next_tick += _TICK_SECONDS
                self._send()

    def _send(self) -> None:
        for descriptor in random.sample(list(self._sockets), min(_SENDERS_EACH_TICK, len(self._sockets))):
            if descriptor not in self._sent_at:
                self._sent_at[descriptor] = monotonic()
                self._sockets[descriptor].sendall(masked(b"still there?"))

    def _read(self, descriptor: int) -> None:
        sock = self._sockets[descriptor]
        try:
            data = sock.recv(4096)
        except OSError:
            data = b""
        if not data or not self._process(descriptor, data):
            self.figures.closed += 1
            del self._sockets[descriptor]
            sock.close()

    def _process(self, descriptor: int, data: bytes) -> bool:
        """Process frames of less than 126 bytes, which come whole. Return False after a close frame."""
        while data:
            opcode, size = data[0], data[1]
            payload, data = data[2 : 2 + size], data[2 + size :]
            if opcode == _TEXT and descriptor in self._sent_at:
                self.figures.echoes.append(monotonic() - self._sent_at.pop(descriptor))
            elif opcode == _PING:
                self.figures.pings += 1
                self._sockets[descriptor].sendall(_PONG + masked(payload)[1:])
            elif opcode == _CLOSE:
                return False
        return True


def _open(port: int, address: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT, (address, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(request())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        if not data:
            raise ConnectionError(f"the server answered {head!r}")
        head += data
    return sock


def main() -> None:
    """Hold the WebSockets until the standard input ends."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sockets = IdleSockets(int(sys.argv[1]), int(sys.argv[2]))
    click.echo("open")
    click.echo(json.dumps(asdict(sockets.run(sys.stdin.fileno()))))


if __name__ == "__main__":
    main()
