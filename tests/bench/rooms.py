"""`rooms`: the delay of a client's messages while other clients list the rooms of a chat with very many rooms."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from time import monotonic

import click

import wschat
from tests.bench.crowd import Member, masked
from tests.bench.report import Report
from tests.bench.server import history_file, stop, watch
from tests.brokers.wiring import IgnoringPublisher
from tests.server.command import Command, running
from wschat.brokers.base import Draft, Retention
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.v1 import SUBPROTOCOL

_VISITORS = 20
_SECONDS_BETWEEN_REQUESTS = 0.1  # the default rate
_SECONDS_BETWEEN_MESSAGES = 0.15
_REQUIRED_SECONDS = 0.1
_SECONDS_TO_ANSWER = 120.0
_READ_BYTES = 256 * 1024


class Visitor(Member):
    """A client that lists the rooms at the default rate, and reads the replies."""

    def __init__(self, number: int, port: int) -> None:
        super().__init__(number, port, f"/?name=v{number}", SUBPROTOCOL)
        self.socket.settimeout(_SECONDS_TO_ANSWER)
        self.read_bytes = 0
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=action, daemon=True) for action in (self._ask, self._read)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop, and disconnect without a close frame."""
        self._is_over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self.socket.close()

    def _ask(self) -> None:
        self._is_over.wait(_SECONDS_BETWEEN_REQUESTS * self.number / _VISITORS)
        with suppress(OSError):
            while not self._is_over.wait(_SECONDS_BETWEEN_REQUESTS):
                self.socket.sendall(masked(b'{"type":"rooms","id":1}'))

    def _read(self) -> None:
        with suppress(OSError):
            while data := self.socket.recv(_READ_BYTES):
                self.read_bytes += len(data)


def run(rooms: int, seconds: float, options: Sequence[str] = ()) -> bool:
    """Measure a server with these options. Return True if no request was refused and no message lost."""
    report = Report(f"rooms: {rooms:,} of them, {_VISITORS} visitors that list them at the default rate, for {seconds:g} s")
    with history_file() as file:
        click.echo(f"making {rooms:,} rooms ...")
        with closing(SqliteBroker(file, Retention(0, 0))) as broker:
            for number in range(rooms - 1):  # the talker adds one more
                broker.append(Draft(f"room-{number:06}", "alice", "x"), IgnoringPublisher())
        began_at = monotonic()
        with running("--port", "0", "--history", str(file), "--log-level", "warning", *options) as server:
            report.add("the start of the server", f"{monotonic() - began_at:.1f} s")
            with talking(server) as say:
                report.add_times("say to ack, alone", _say_for(say, min(seconds, 3.0)), _REQUIRED_SECONDS)
                visitors = [Visitor(number, server.port) for number in range(_VISITORS)]
                times: list[float] = []
                usage = watch(server, lambda: times.extend(_say_for(say, seconds)))
                report.add_times("say to ack, with the visitors", times, _REQUIRED_SECONDS)
                for visitor in visitors:
                    visitor.end()
            report.add("read by the visitors", f"{sum(visitor.read_bytes for visitor in visitors) / seconds / 2**20:.1f} MiB/s")
            usage.show_in(report)
            stop(server, report)
    return report.show()


@contextmanager
def talking(server: Command) -> Iterator[Say]:
    """Return a client at another address, in a room of its own."""
    sock = socket.create_connection((server.host, server.port), source_address=("127.0.0.2", 0))
    with wschat.connect(f"{server.url}?name=bystander", sock=sock, subprotocols=[SUBPROTOCOL], deflate=None) as ws:
        say = Say(ws)
        say.ask(type="join", room="bystanders")
        yield say


class Say:
    """A client that sends messages, and measures the time."""

    def __init__(self, ws: wschat.Connection) -> None:
        self._ws = ws
        self._number = 0

    def __call__(self) -> float:
        """Return the seconds from a message to its ack."""
        began_at = monotonic()
        self.ask(type="say", room="bystanders", text="x")
        return monotonic() - began_at

    def ask(self, **fields: object) -> None:
        """Send a request, and wait for the reply."""
        self._number += 1
        self._ws.send(json.dumps({**fields, "id": self._number}))
        while (answer := json.loads(self._ws.recv(_SECONDS_TO_ANSWER))).get("id") != self._number:
            pass
        if answer["type"] == "error":
            raise RuntimeError(f"{fields} was answered with {answer}")


def _say_for(say: Say, seconds: float) -> list[float]:
    times = []
    ends_at = monotonic() + seconds
    while monotonic() < ends_at:
        times.append(say())
        threading.Event().wait(_SECONDS_BETWEEN_MESSAGES)
    return times
