"""`wschat connect` with servers of other libraries: pipes, scripts, recordings and replays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import websockets
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_threading

from tests.cli.client.command import run
from tests.concurrency import TIMEOUT
from tests.test_peers import NODE_SERVER, node
from wschat.cli.client.recording import read_recording


@contextmanager
def node_ws() -> Iterator[str]:
    with node(NODE_SERVER, '{"threshold": 0}') as lines:
        yield f"ws://127.0.0.1:{next(lines)}/"


@contextmanager
def websockets_server() -> Iterator[str]:
    def echo(ws: ServerConnection) -> None:
        try:
            while (message := ws.recv()) != "close!":
                ws.send(message)
            ws.close(4001, "as you wish")
        except websockets.ConnectionClosed:
            pass

    with serve_threading(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join(TIMEOUT)


@pytest.fixture(params=[node_ws, websockets_server], ids=["ws of Node", "websockets"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with request.param() as url:
        yield url


def test_servers_of_other_libraries(url: str, tmp_path: Path) -> None:
    # With `--count`, as some servers do not answer earlier messages once they have read a close frame.
    piped = run(url, "--count", "2", given="hello\nGrüße\n")
    assert (piped.code, piped.lines, piped.err) == (0, ["hello", "Grüße"], "")

    path = tmp_path / "recording"
    steps = ["--send", "one", "--expect", "^one$", "--send", "two " * 1000, "--expect", "two two", "--send", "three", "--expect", "three"]
    scripted = run(url, *steps, "--record", str(path))
    assert (scripted.code, scripted.err) == (0, "")
    assert [message.is_sent for message in read_recording(str(path)).messages].count(True) == 3

    replayed = run(url, "--replay", str(path), "--speed", "10", "--json")
    assert (replayed.code, replayed.err) == (0, "")
    assert [json.loads(line).get("text") for line in replayed.lines] == [None, "one", "two " * 1000, "three", None]

    binary = run(url, "--binary", "--send", "\udcff", "--expect", r"\\xff", "--count", "1")
    assert (binary.code, binary.out) == (0, b"\xff")

    unmet = run(url, "--send", "one", "--expect", "two", "--timeout", "0.2")
    assert unmet.code == 1
    assert unmet.err.splitlines()[1:] == ["    one"]

    closed = run(url, "--send", "close!", "--expect", "never")
    assert closed.code == 4
    assert "connection closed: 4001 as you wish; nothing was received" in closed.err
