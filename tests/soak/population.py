"""The clients of a soak. Each is a function that runs until `World.is_over` is set."""

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

_PATIENCE = 30.0
_GREETING = "Welcome to the chat!"
_SECONDS_BETWEEN_MESSAGES = 0.05
_LAST_WORD = "that was all"


class Disorder(Exception):
    """A client got a message twice, out of order, or not at all."""


@dataclass
class World:
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
        if ws.recv(_PATIENCE) != _GREETING:
            raise Disorder("no greeting")
        return ws

    def http(self, tls: bool) -> http.client.HTTPConnection:
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=_PATIENCE, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=_PATIENCE)

    def raw(self, tls: bool) -> socket.socket:
        """Open a TCP connection. What is sent over it is not encrypted, at either port."""
        sock = socket.create_connection(("127.0.0.1", self.tls_port if tls else self.plain_port), _PATIENCE)
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


class Ledger:
    """What one listener has received. The messages of each talker must arrive in order."""

    def __init__(self, *, from_the_first: bool) -> None:
        self.next: dict[str, int] = {}
        self.last_words: set[str] = set()
        self._from_the_first = from_the_first

    def enter(self, message: str | bytes) -> None:
        name, _, text = str(message).partition(": ")
        if not name.startswith("talker"):
            return
        if text == _LAST_WORD:
            self.last_words.add(name)
            return
        count, _, padding = text.partition(" ")
        number = int(count)
        if padding != _padding(number):
            raise Disorder(f"message {number} of {name} is not whole")
        expected = self.next.get(name, 0 if self._from_the_first else number)
        if number != expected:
            raise Disorder(f"message {number} of {name} came where {expected} was expected")
        self.next[name] = number + 1


def _padding(number: int) -> str:
    """Return a text. The lengths vary, and are large enough in all that a slow reader falls behind."""
    return "-" * (number * 997 % 8000)


def talk(world: World, tls: bool, number: int) -> None:
    """Send messages with the numbers 0, 1, 2 and so on, and receive them."""
    with world.connect(tls, f"?name=talker{number}") as ws:
        said = 0
        ledger = Ledger(from_the_first=False)
        while not world.is_over.wait(_SECONDS_BETWEEN_MESSAGES):
            ws.send(f"{said} {_padding(said)}")
            said += 1
            while ledger.next.get(f"talker{number}", 0) < said:
                ledger.enter(ws.recv(_PATIENCE))
        ws.send(_LAST_WORD)
        while f"talker{number}" not in ledger.last_words:
            ledger.enter(ws.recv(_PATIENCE))
    world.count("messages said", said)


def lurk(world: World, tls: bool, talkers: int) -> None:
    """Receive every message of every talker."""
    ledger = Ledger(from_the_first=True)
    with world.connect(tls) as ws:
        world.count("lurkers")
        while len(ledger.last_words) < talkers:
            ledger.enter(ws.recv(_PATIENCE))
    world.count("messages heard by lurkers", sum(ledger.next.values()))


def come_and_go(world: World, tls: bool, seed: int) -> None:
    """Connect for a short time, repeatedly."""
    dice = random.Random(seed)
    while not world.is_over.is_set():
        ledger = Ledger(from_the_first=False)  # of one visit, which begins anywhere
        with world.connect(tls) as ws:
            for _ in range(dice.randrange(50)):
                if world.is_over.is_set():
                    break
                with contextlib.suppress(TimeoutError):  # when it is over, nobody says anything any more
                    ledger.enter(ws.recv(1))
        world.count("short visits")


def read_slowly(world: World, tls: bool, seed: int) -> None:
    """Read almost nothing until the server evicts this client; then connect again."""
    while not world.is_over.is_set():
        with world.slow(tls) as sock, contextlib.suppress(OSError):
            for _ in range(20):
                if world.is_over.wait(0.5) or not sock.recv(64):
                    break


def follow(world: World, tls: bool, seed: int) -> None:
    """Follow the room over HTTP, disconnect, and resume after the last event: no message is lost or repeated."""
    dice = random.Random(seed)
    place, coming, last = "", "", None
    while not world.is_over.is_set():
        with contextlib.closing(world.http(tls)) as connection:
            connection.request("GET", "/api/rooms/lobby/events", headers={"Last-Event-ID": place})
            for line in itertools.islice(connection.getresponse(), dice.randrange(10, 1000)):
                if world.is_over.is_set():
                    break
                if line.startswith(b"id: "):
                    coming = line[4:].decode().strip()
                elif line == b"\n":  # which ends an event: what is cut off before that was none
                    place = coming
                elif line.startswith(b"event: gap"):
                    raise Disorder("a gap in the events")
                elif line.startswith(b'data: {"room"'):
                    seq = json.loads(line[6:])["seq"]
                    if last is not None and seq != last + 1:
                        raise Disorder(f"event {seq} came after {last}")
                    last, place = seq, coming
                    world.count("events")


def ask(world: World, tls: bool, seed: int) -> None:
    """Send many different HTTP requests on each connection."""
    dice = random.Random(seed)
    paths = ["/", "/readyz", "/api/rooms", "/api/rooms/lobby/members", "/api/rooms/lobby/messages?limit=10", "/nothing", "/metrics"]
    while not world.is_over.is_set():
        with contextlib.closing(world.http(tls)) as connection:
            for _ in range(dice.randrange(1, 100)):
                path = dice.choice(paths)
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status != (404 if path == "/nothing" else 200) or not answer.read():
                    raise Disorder(f"{path} was answered with {answer.status}")
                world.count("answers over HTTP")
                if world.is_over.wait(dice.random() / 20):
                    break


def vanish(world: World, tls: bool, seed: int) -> None:
    """Connect, send a message, and reset the connection."""
    dice = random.Random(seed)
    while not world.is_over.wait(dice.random() / 10):
        with world.raw(tls=False) as sock:
            sock.sendall(_REQUEST + b"\x81\x82\0\0\0\0hi")
            sock.recv(dice.randrange(1, 1000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def talk_rubbish(world: World, tls: bool, seed: int) -> None:
    """Send invalid data, before or after the opening handshake."""
    dice = random.Random(seed)
    while not world.is_over.wait(dice.random() / 10):
        with world.raw(tls) as sock:
            try:
                sock.sendall((_REQUEST if dice.random() < 0.5 else b"") + dice.randbytes(dice.randrange(1, 2000)))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass


_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# Who lives there besides talkers and lurkers, and how many of them.
OTHERS: dict[Callable[[World, bool, int], None], int] = {come_and_go: 6, read_slowly: 4, follow: 4, ask: 4, vanish: 4, talk_rubbish: 4}
