"""The clients of a soak. Each is a function that runs until `Soak.is_over` is set."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import wschat

_TIMEOUT = 30.0
_GREETING = "Welcome to the chat!"
_SECONDS_BETWEEN_MESSAGES = 0.05
_LAST_MESSAGE = "that was all"


class DeliveryError(Exception):
    """A client got a message twice, out of order, or not at all."""


@dataclass
class Soak:
    """The two ports of the server, and counts of what happened."""

    plain_port: int
    tls_port: int
    context: ssl.SSLContext
    is_over: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    guard: threading.Lock = field(default_factory=threading.Lock)  # guards the counts

    def count(self, what: str, number: int = 1) -> None:
        with self.guard:
            self.counts[what] += number

    def connect(self, tls: bool, query: str = "") -> wschat.Connection:
        scheme, port = ("wss", self.tls_port) if tls else ("ws", self.plain_port)
        ws = wschat.connect(f"{scheme}://127.0.0.1:{port}/{query}", tls=self.context if tls else None)
        if ws.recv(_TIMEOUT) != _GREETING:
            raise DeliveryError("no greeting")
        return ws

    def http(self, tls: bool) -> http.client.HTTPConnection:
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=_TIMEOUT, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=_TIMEOUT)

    def raw(self, tls: bool) -> socket.socket:
        """Open a TCP connection without TLS to either port."""
        sock = socket.create_connection(("127.0.0.1", self.tls_port if tls else self.plain_port), _TIMEOUT)
        self.count("bare connections")
        return sock

    def slow(self, tls: bool) -> socket.socket:
        """Open a WebSocket whose receive buffer is small, so that the server notices a slow reader soon."""
        sock = self.raw(tls)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if tls:
            sock = self.context.wrap_socket(sock, server_hostname="127.0.0.1")
        sock.sendall(_REQUEST)
        return sock


class Sequences:
    """Checks that one client receives the messages of each talker completely and in order."""

    def __init__(self, *, from_the_first: bool) -> None:
        self.next: dict[str, int] = {}
        self.ended: set[str] = set()
        self._from_the_first = from_the_first

    def check(self, message: str | bytes) -> None:
        name, _, text = str(message).partition(": ")
        if not name.startswith("talker"):
            return
        if text == _LAST_MESSAGE:
            self.ended.add(name)
            return
        count, _, padding = text.partition(" ")
        number = int(count)
        if padding != _padding(number):
            raise DeliveryError(f"message {number} of {name} is incomplete")
        expected = self.next.get(name, 0 if self._from_the_first else number)
        if number != expected:
            raise DeliveryError(f"message {number} of {name} arrived instead of {expected}")
        self.next[name] = number + 1


def _padding(number: int) -> str:
    """Return a text. The lengths vary, and the sum is large enough that a slow reader falls behind."""
    return "-" * (number * 997 % 8000)


def talk(soak: Soak, tls: bool, number: int) -> None:
    """Send messages with the numbers 0, 1, 2 and so on, and receive them."""
    with soak.connect(tls, f"?name=talker{number}") as ws:
        sent = 0
        sequences = Sequences(from_the_first=False)
        while not soak.is_over.wait(_SECONDS_BETWEEN_MESSAGES):
            ws.send(f"{sent} {_padding(sent)}")
            sent += 1
            while sequences.next.get(f"talker{number}", 0) < sent:
                sequences.check(ws.recv(_TIMEOUT))
        ws.send(_LAST_MESSAGE)
        while f"talker{number}" not in sequences.ended:
            sequences.check(ws.recv(_TIMEOUT))
    soak.count("messages sent", sent)


def listen(soak: Soak, tls: bool, talkers: int) -> None:
    """Receive every message of every talker."""
    sequences = Sequences(from_the_first=True)
    with soak.connect(tls) as ws:
        soak.count("listeners")
        while len(sequences.ended) < talkers:
            sequences.check(ws.recv(_TIMEOUT))
    soak.count("messages received by listeners", sum(sequences.next.values()))


def reconnect(soak: Soak, tls: bool, seed: int) -> None:
    """Connect for a short time, repeatedly."""
    generator = random.Random(seed)
    while not soak.is_over.is_set():
        sequences = Sequences(from_the_first=False)  # for this visit, which begins with any message
        with soak.connect(tls) as ws:
            for _ in range(generator.randrange(50)):
                if soak.is_over.is_set():
                    break
                with contextlib.suppress(TimeoutError):  # at the end of the soak, no more messages arrive
                    sequences.check(ws.recv(1))
        soak.count("short visits")


def read_slowly(soak: Soak, tls: bool, seed: int) -> None:
    """Read almost nothing until the server evicts this client; then connect again."""
    while not soak.is_over.is_set():
        with soak.slow(tls) as sock, contextlib.suppress(OSError):
            for _ in range(20):
                if soak.is_over.wait(0.5) or not sock.recv(64):
                    break


def follow(soak: Soak, tls: bool, seed: int) -> None:
    """Follow the room over HTTP, disconnect, and resume after the last event: no message is lost or repeated."""
    generator = random.Random(seed)
    place, coming, last = "", "", None
    while not soak.is_over.is_set():
        with contextlib.closing(soak.http(tls)) as connection:
            connection.request("GET", "/api/rooms/lobby/events", headers={"Last-Event-ID": place})
            for line in itertools.islice(connection.getresponse(), generator.randrange(10, 1000)):
                if soak.is_over.is_set():
                    break
                if line.startswith(b"id: "):
                    coming = line[4:].decode().strip()
                elif line == b"\n":  # the end of an event; an incomplete event is ignored
                    place = coming
                elif line.startswith(b"event: gap"):
                    raise DeliveryError("a gap in the events")
                elif line.startswith(b'data: {"room"'):
                    seq = json.loads(line[6:])["seq"]
                    if last is not None and seq != last + 1:
                        raise DeliveryError(f"event {seq} came after {last}")
                    last, place = seq, coming
                    soak.count("events")


def ask(soak: Soak, tls: bool, seed: int) -> None:
    """Send many different HTTP requests on each connection."""
    generator = random.Random(seed)
    paths = ["/", "/readyz", "/api/rooms", "/api/rooms/lobby/members", "/api/rooms/lobby/messages?limit=10", "/nothing", "/metrics"]
    while not soak.is_over.is_set():
        with contextlib.closing(soak.http(tls)) as connection:
            for _ in range(generator.randrange(1, 100)):
                path = generator.choice(paths)
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status != (404 if path == "/nothing" else 200) or not answer.read():
                    raise DeliveryError(f"{path} was answered with {answer.status}")
                soak.count("answers over HTTP")
                if soak.is_over.wait(generator.random() / 20):
                    break


def reset(soak: Soak, tls: bool, seed: int) -> None:
    """Connect, send a message, and reset the connection."""
    generator = random.Random(seed)
    while not soak.is_over.wait(generator.random() / 10):
        with soak.raw(tls=False) as sock:
            sock.sendall(_REQUEST + b"\x81\x82\0\0\0\0hi")
            sock.recv(generator.randrange(1, 1000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def send_invalid_data(soak: Soak, tls: bool, seed: int) -> None:
    """Send invalid data, before or after the opening handshake."""
    generator = random.Random(seed)
    while not soak.is_over.wait(generator.random() / 10):
        with soak.raw(tls) as sock:
            try:
                sock.sendall((_REQUEST if generator.random() < 0.5 else b"") + generator.randbytes(generator.randrange(1, 2000)))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass


_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# The clients besides talkers and listeners, and the number of each.
OTHER_CLIENTS: dict[Callable[[Soak, bool, int], None], int] = {
    reconnect: 6,
    read_slowly: 4,
    follow: 4,
    ask: 4,
    reset: 4,
    send_invalid_data: 4,
}
