"""`attack`: clients that send the most expensive requests as often as the rate permits, and a bystander that sends messages."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from time import monotonic, sleep

from tests.bench.crowd import masked
from tests.bench.report import Report
from tests.bench.server import history_file, stop, watch
from tests.brokers.wiring import IgnoringPublisher
from tests.concurrency import TIMEOUT
from tests.server.command import Command, running
from tests.server.raw import request
from wschat.brokers.base import Draft
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.v1 import SUBPROTOCOL

_REQUIRED_SECONDS = 0.1
_ATTACKERS = 20
_SECONDS_BETWEEN = 0.1  # the server's default rate
_SECONDS_BETWEEN_MESSAGES = 0.1  # of the bystander, which has the same rate
_BURST = 25  # requests that a client may send at once
_READ_BYTES = 1 << 20
_ANSWER = b'"id":"x"'  # in the reply to a request of `_Visitor.ask`; nothing is compressed
_TOO_FAST = re.compile(rb'"code":"too-fast".*?"seconds":([\d.]+)')

Fields = dict[str, object]
Requests = Iterator[Fields]


@dataclass(frozen=True)
class Attack:
    """The number of members, the first requests of each, and the requests that the attackers repeat."""

    members: int
    begin: list[Fields]
    requests: Callable[[int], Requests]
    compressed: bool = False
    messages: int = 0
    """The number of messages in the room `old` at the beginning."""


def _cycle(*requests: Fields) -> Callable[[int], Requests]:
    return lambda number: itertools.cycle(requests)


def _nicks(number: int) -> Requests:
    return itertools.cycle([{"type": "nick", "name": f"n{number}-{letter}"} for letter in "ab"])


def _join(room: str, **fields: object) -> Fields:
    return {"type": "join", "room": room, **fields}


ATTACKS = {
    "nothing": Attack(100, [], _cycle({"type": "typing", "room": "crowd"})),
    "nick": Attack(100, [_join(f"room{room}") for room in range(100)], _nicks),
    "crowd": Attack(3000, [_join("crowd")], _cycle({"type": "leave", "room": "crowd"}, _join("crowd"))),
    "who": Attack(3000, [_join("crowd")], _cycle({"type": "who", "room": "crowd"}, {"type": "rooms"})),
    "typing": Attack(3000, [_join("crowd")], _cycle({"type": "typing", "room": "crowd"})),
    "past": Attack(20, [], _cycle(_join("old", since=0)), compressed=True, messages=2000),
    "history": Attack(20, [], _cycle({"type": "history", "room": "old", "limit": 1000}), compressed=True, messages=2000),
    "json": Attack(20, [], lambda _: itertools.repeat({"type": "who", "room": [{}] * 16_000})),
}
"""The attacks, by name."""


def run(name: str, seconds: float, options: tuple[str, ...]) -> bool:
    """Measure a server with these options. Return True if no other error than slowness was found."""
    attack = ATTACKS[name]
    report = Report(
        f"attack by {name}: {_ATTACKERS} of {attack.members:,} visitors, for {seconds:g} s, the server with {' '.join(options)}"
    )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with history_file() as file:
        with closing(SqliteBroker(file)) as broker:
            for number in range(attack.messages):
                broker.append(Draft("old", "alice", f"{number} is the number of this message, and this is its text."), IgnoringPublisher())
        with running("--port", "0", "--history", str(file), "--max-connections-per-ip", "0", "--log-level", "warning", *options) as server:
            _measure(attack, server, seconds, report)
            stop(server, report)
    return report.show()


def _measure(attack: Attack, server: Command, seconds: float, report: Report) -> None:
    visitors = [_Visitor(server.port, number, compressed=attack.compressed) for number in range(attack.members)]
    crowd = _Crowd(visitors)
    for place, fields in enumerate(attack.begin):
        sleep(_SECONDS_BETWEEN if place > _BURST else 0)
        for visitor in visitors:
            visitor.ask(fields)
    crowd.wait_until_answered(len(attack.begin))
    before = _received_bytes(visitors)
    ends_at = monotonic() + seconds
    attackers = [
        threading.Thread(target=visitor.attack_until, args=(attack.requests(visitor.number), ends_at), daemon=True)
        for visitor in visitors[:_ATTACKERS]
    ]
    bystander = [sys.executable, "-m", "tests.bench.attacks", str(server.port), str(seconds)]
    for thread in attackers:
        thread.start()
    done: list[subprocess.CompletedProcess[str]] = []
    usage = watch(server, lambda: done.append(subprocess.run(bystander, stdout=subprocess.PIPE, text=True, check=True)))
    for thread in attackers:
        thread.join()
    crowd.stop()
    report.add("asked for", f"{sum(visitor.asked for visitor in visitors):,}")
    report.add("told to wait", f"{sum(visitor.told_to_wait for visitor in visitors):,}")
    report.add("sent by the server", f"{(_received_bytes(visitors) - before) / 2**20:,.1f} MiB")
    report.add_times("the bystander's say to ack", json.loads(done[0].stdout), _REQUIRED_SECONDS)
    usage.show_in(report)


def _received_bytes(visitors: list[_Visitor]) -> int:
    return sum(visitor.received_bytes for visitor in visitors)


class _Visitor:
    """A bare WebSocket. Received bytes are counted and dropped, except a reply that says how long to wait."""

    def __init__(self, port: int, number: int, *, compressed: bool) -> None:
        self.number = number
        self.received_bytes = self.asked = self.answered = self.told_to_wait = 0
        self._tail = b""
        self.wait_until = 0.0
        # Each client has an address of its own; all of them are loopback addresses.
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT, (f"127.1.{number // 250}.{number % 250 + 1}", 0))
        headers: dict[str, str | None] = {
            "Sec-WebSocket-Protocol": SUBPROTOCOL,
            **({"Sec-WebSocket-Extensions": "permessage-deflate"} if compressed else {}),
        }
        self.socket.sendall(request(target=f"/?name=n{number}", headers=headers))

    def attack_until(self, requests: Requests, ends_at: float) -> None:
        """Send requests as often as the rate permits."""
        while monotonic() < ends_at:
            try:
                self.ask(next(requests))
            except OSError:
                return  # the server has closed the connection
            self.asked += 1
            sleep(max(_SECONDS_BETWEEN, min(self.wait_until, ends_at) - monotonic()))

    def ask(self, fields: Fields) -> None:
        self.socket.sendall(_frame(json.dumps({**fields, "id": "x"}, separators=(",", ":")).encode()))

    def read(self) -> bool:
        """Read. Return False at the end of the stream."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except OSError:
            return False
        self.received_bytes += len(data)
        seen = self._tail + data
        self.answered += seen.count(_ANSWER)
        self._tail = seen[1 - len(_ANSWER) :]
        if b"too-fast" in data and (found := _TOO_FAST.search(data)):
            self.told_to_wait += 1
            self.wait_until = monotonic() + float(found[1])
        return bool(data)


def _frame(payload: bytes) -> bytes:
    return masked(payload) if len(payload) < 1 << 16 else b"\x81\xff" + len(payload).to_bytes(8, "big") + b"\0\0\0\0" + payload


class _Crowd:
    """A thread that reads for all attackers."""

    def __init__(self, visitors: list[_Visitor]) -> None:
        self._by_descriptor = {visitor.socket.fileno(): visitor for visitor in visitors}
        self._epoll = select.epoll()
        for descriptor in self._by_descriptor:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._is_stopping = False
        self._read_at = monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopping:
            for descriptor, _ in self._epoll.poll(0.1):
                self._read_at = monotonic()
                if not self._by_descriptor[descriptor].read():
                    self._epoll.unregister(descriptor)

    def wait_until_answered(self, answers: int) -> None:
        """Wait until each attacker has this number of replies, and no more have arrived for a while."""
        visitors = self._by_descriptor.values()
        while any(visitor.answered < answers for visitor in visitors) or monotonic() < self._read_at + 0.5:
            sleep(0.1)

    def stop(self) -> None:
        self._is_stopping = True
        self._thread.join()
        for visitor in self._by_descriptor.values():
            visitor.socket.close()


def _be_bystander(port: int, seconds: float) -> list[float]:
    """Send messages at intervals. Return the delay of each ack."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.sendall(request(target="/?name=bystander", headers={"Sec-WebSocket-Protocol": SUBPROTOCOL}))
        sock.sendall(masked(b'{"type":"join","room":"quiet","id":"in"}'))
        _read_until(sock, b'"joined"')
        took: list[float] = []
        ends_at = monotonic() + seconds
        for number in itertools.count():
            if monotonic() >= ends_at:
                return took
            sent_at = monotonic()
            sock.sendall(masked(b'{"type":"say","room":"quiet","text":"hello","id":%d}' % number))
            _read_until(sock, b'"type":"ack","id":%d' % number)
            took.append(monotonic() - sent_at)
            sleep(_SECONDS_BETWEEN_MESSAGES)
    raise AssertionError


def _read_until(sock: socket.socket, wanted: bytes) -> None:
    received = b""
    while wanted not in received:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError(f"the server closed the connection after {received[-200:]!r}")
        received += data


if __name__ == "__main__":
    os.write(1, json.dumps(_be_bystander(int(sys.argv[1]), float(sys.argv[2]))).encode())
