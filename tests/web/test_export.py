"""Export: all messages of a room at the time of the request, as JSON lines, in constant memory."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.server.command import running
from tests.web.test_events import InterruptedBroker, fail_to_read, fill
from tests.web.wiring import Http, OpenWeb, Web, plain
from wschat.brokers.base import Broker, Message, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker


def lines(body: bytes) -> list[dict[str, object]]:
    assert body == b"" or body.endswith(b"\n")
    return [json.loads(line) for line in body.split(b"\n")[:-1]]


def test_an_export_has_a_line_for_each_message(web: Web) -> None:
    posted = [web.post(text, name="alice").json for text in ("one", "two\nlines", "é\u2028😀")]
    answer = web.get("/api/rooms/tea/export")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert lines(answer.body) == posted


def test_a_room_without_messages_has_no_lines(web: Web) -> None:
    assert web.get("/api/rooms/tea/export").body == b""


@pytest.mark.parametrize("keep", [0, 1500])
def test_a_room_of_any_size_is_exported(open_web: OpenWeb, keep: int) -> None:
    broker = MemoryBroker(Retention(messages=keep))
    texts = [f"{number} " + "x" * (60_000 if number % 100 == 0 else 10) for number in range(3500)]
    fill(broker, texts)
    web = open_web(broker)
    assert web.texts() == texts[-keep:]
    http = web.connect()
    assert http.get("/api/rooms/tea/export").is_whole
    assert http.get("/api/rooms").status == 200  # on the same connection


def test_messages_sent_after_it_began_are_not_exported(open_web: OpenWeb) -> None:
    broker = InterruptedBroker(lambda broker: fill(broker, ["new"] * 2000, before=2500), retention=Retention(messages=0))
    fill(broker, ["old"] * 2500)
    broker.reads_before = 1
    web = open_web(broker)
    assert web.texts() == ["old"] * 2500
    assert len(web.texts()) == 4500


def fail(_: Broker) -> None:
    raise ValueError("a bug")


@pytest.mark.parametrize("happens", [fail_to_read, fail])
def test_an_export_that_fails_in_the_middle_is_incomplete(open_web: OpenWeb, happens: object) -> None:
    broker = InterruptedBroker(happens)  # type: ignore[arg-type]
    fill(broker, ["x"] * 2500)
    broker.reads_before = 2
    web = open_web(broker)
    answer = web.connect().get("/api/rooms/tea/export")
    assert (answer.status, answer.is_whole) == (200, False)
    assert len(lines(answer.body)) == 2000
    assert len(web.texts()) == 2500  # the next export is complete


def test_an_export_that_fails_at_once_gets_503(open_web: OpenWeb) -> None:
    broker = InterruptedBroker(fail_to_read)
    fill(broker, ["x"])
    answer = open_web(broker).get("/api/rooms/tea/export")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "10")


def test_an_export_ends_when_the_client_disconnects(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    reads: list[int] = []

    class Watched(MemoryBroker):
        def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
            reads.append(seq)
            return super().read_since(room, seq, limit)

    broker = Watched(Retention(messages=0))
    fill(broker, ["x" * 50_000] * 1000)
    web = open_web(broker)
    http = web.connect()
    http.send(plain("GET", "/api/rooms/tea/export"))
    assert http.head()[0] == 200
    http.vanish()
    eventually(lambda: not any(web.server.load().connections.values()))
    assert len(reads) < 300  # not 500
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


MESSAGES = 200_000


def write_history(path: Path) -> None:
    """Write a room with very many messages directly into the file."""
    with closing(SqliteBroker(path, Retention(0, 0))) as broker:
        fill(broker, ["first"])
    with closing(sqlite3.connect(path)) as database, database:
        rows = ((number, f"{number:08d} is the number of this message of some length") for number in range(2, MESSAGES + 1))
        database.executemany("INSERT INTO messages (room, seq, sender, text, time) VALUES (1, ?, 'm', ?, 4e9)", rows)
        database.execute("UPDATE rooms SET last = ?", (MESSAGES,))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of another process")
def test_exporting_a_large_room_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "history"
    write_history(path)
    options = ("--port", "0", "--history", str(path), "--keep-messages", "0", "--keep-days", "0", "--rate", "off")
    with running(*options) as command, wschat.connect(f"{command.url}rooms/bench") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        before = command.peak_bytes()
        with Http(socket.create_connection((command.host, command.port), TIMEOUT)) as http:
            http.send(plain("GET", "/api/rooms/tea/export", version="HTTP/1.0"))
            assert http.head()[0] == 200
            last = number = 0
            for line in http.lines():
                number += 1
                if number % 1000 == 0 or number == MESSAGES:
                    last = json.loads(line)["seq"]
                    assert last == number
            assert number == MESSAGES
        assert command.peak_bytes() - before < 15 * 2**20
