"""`history`: the time to join a room with a million messages, and to read old ones."""

from __future__ import annotations

import itertools
import json
import os
import random
import urllib.request
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import click

import wschat
from tests.bench.report import Report
from tests.bench.server import history_file, serving, stop
from tests.brokers.wiring import IgnoringPublisher, last_numbers
from tests.concurrency import TIMEOUT
from tests.server.command import Command
from wschat.brokers.base import Draft, Retention
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.v1 import SUBPROTOCOL

_TIMES = 200
_LIMIT = 100
_BACK = 1000
_REQUIRED_SECONDS = 0.01


class Reader:
    """A member that reads history, and measures the time."""

    def __init__(self, ws: wschat.Connection, last: int, report: Report) -> None:
        self._ws = ws
        self._last = last
        self._report = report
        self._ids = itertools.count()

    def ask(self, **fields: Any) -> tuple[float, dict[str, Any]]:
        """Return the reply to a request, and the seconds that it took."""
        request_id = next(self._ids)
        request = json.dumps({**fields, "id": request_id})
        asked_at = monotonic()
        self._ws.send(request)
        text = self._ws.recv(TIMEOUT)
        took = monotonic() - asked_at
        answer = json.loads(text)
        if answer.get("id") != request_id:
            raise RuntimeError(f"{request} was answered with {text[:500]!r}")
        return took, answer

    def join(self, since: int | None = None) -> float:
        """Return the seconds to join, with the messages after a number, or the last ones."""
        took, answer = self.ask(type="join", room="bench", since=since)
        self._check(answer, range(self._last - _LIMIT if since is None else since, self._last))
        self.ask(type="leave", room="bench")
        return took

    def scroll(self, before: int) -> float:
        """Return the seconds to read the messages before a number."""
        took, answer = self.ask(type="history", room="bench", before=before, limit=_LIMIT)
        self._check(answer, range(before - 1 - _LIMIT, before - 1))
        return took

    def _check(self, answer: dict[str, Any], numbers: range) -> None:
        given = [(message["seq"], message["text"]) for message in answer["messages"]]
        if given != [(number + 1, text_of(number)) for number in numbers]:
            self._report.problems.append(f"instead of the messages from {numbers[0] + 1} to {numbers[-1] + 1}, {len(given)} others arrived")


def run(messages: int) -> bool:
    """Measure. Return True if every reply was right."""
    report = Report(f"history: a room of {messages:,} messages, {_TIMES} times each")
    with history_file() as file:
        click.echo(f"writing {messages:,} messages ...")
        began_at = monotonic()
        fill(file, messages)
        report.add("written", f"{messages / (monotonic() - began_at):,.0f} /s")
        report.add("the size of the file", f"{file.stat().st_size / 2**20:,.0f} MiB")
        with serving(file) as server:
            with wschat.connect(f"{server.url}?name=reader", subprotocols=[SUBPROTOCOL]) as ws:
                ws.recv(TIMEOUT)  # the welcome
                measure(Reader(ws, messages, report), file, messages, report)
            export(server, messages, report)
            stop(server, report)
    return report.show()


def measure(reader: Reader, file: Path, messages: int, report: Report) -> None:
    """Fill the report."""
    generator = random.Random(messages)
    places = [generator.randint(_LIMIT + 1, messages) for _ in range(_TIMES)]
    report.add_times("join, the last 100", [reader.join() for _ in range(_TIMES)], _REQUIRED_SECONDS)
    cold = []
    for place in places:
        drop_from_cache(file)
        cold.append(reader.scroll(place))
    report.add_times("history, 100 from anywhere, cold", cold, _REQUIRED_SECONDS)
    report.add_times("history, 100 from anywhere, warm", [reader.scroll(place) for place in places], _REQUIRED_SECONDS)
    report.add_times("join since 1,000 back", [reader.join(messages - _BACK) for _ in range(_TIMES)], _REQUIRED_SECONDS)


def export(server: Command, messages: int, report: Report) -> None:
    """Export the whole room, and check every line."""
    before = server.peak_bytes()
    began_at = monotonic()
    with urllib.request.urlopen(f"http://{server.host}:{server.port}/api/rooms/bench/export") as lines:
        number = size = 0
        for number, line in enumerate(lines, 1):
            size += len(line)
            message = json.loads(line)
            if (message["seq"], message["text"]) != (number, text_of(number - 1)):
                report.problems.append(f"line {number} of the export is {line!r}")
                break
    if number != messages:
        report.problems.append(f"of {messages:,} messages, the export has {number:,}")
    report.add("export, all of them", f"{monotonic() - began_at:.1f} s for {size / 2**20:,.0f} MiB")
    grown = server.peak_bytes() - before
    report.add("memory that it took", f"{grown / 2**20:.1f} MiB", required="10 MiB", is_met=grown < 10 * 2**20)


def fill(file: Path, messages: int) -> None:
    """Append this number of messages to a room."""
    publisher = IgnoringPublisher()
    with closing(SqliteBroker(file, Retention(0, 0))) as broker:
        for number in range(messages):
            broker.append(Draft("bench", f"m{number % 100}", text_of(number)), publisher)
    with closing(SqliteBroker(file, Retention(0, 0))) as broker:
        if last_numbers(broker) != {"bench": messages}:
            raise RuntimeError(f"the history has {last_numbers(broker)}")


def text_of(number: int) -> str:
    """Return a text. No two are equal, and they can be compressed a little."""
    return f"{number:08d} " + random.Random(number).randbytes(18).hex() + " and that was all."


def drop_from_cache(file: Path) -> None:
    """Drop a file from the page cache of the system. The caches of the server stay."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
