"""The receives of a test have a deadline, after which they fail with a transcript."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.concurrency import TIMEOUT
from tests.conftest import echo
from tests.tls import client_context
from wschat.errors import ConnectionClosed
from wschat.server.tls import Certificate
from wschat.testing.connections import Connections, Pair
from wschat.testing.servers import Servers


@pytest.fixture
def pair(ws_pair: Pair) -> Pair:
    """Return a pair with short deadlines."""
    for ws in ws_pair:
        ws.timeout = 0.05
    return ws_pair


def test_a_receive_that_waits_too_long_fails_with_the_transcript(pair: Pair) -> None:
    pair.server.send("one")
    assert pair.client.recv() == "one"
    with pytest.raises(AssertionError, match=r"no message within 0\.05 s\nthe client's end of the pair:\n.* received text 'one'"):
        pair.client.recv()
    pair.server.send("two")
    assert pair.client.recv() == "two"


def test_an_iteration_has_the_deadline_at_each_message(pair: Pair) -> None:
    pair.server.send("one")
    received: list[str | bytes] = []
    with pytest.raises(AssertionError, match="no message within"):
        received.extend(pair.client)
    assert received == ["one"]


def test_an_iteration_ends_with_the_connection(ws_pair: Pair) -> None:
    ws_pair.server.send("one")
    ws_pair.server.begin_close()
    assert list(ws_pair.client) == ["one"]


def test_a_ping_that_is_not_answered_fails_with_the_transcript(pair: Pair) -> None:
    with pytest.raises(AssertionError, match=r"no pong within 0\.05 s\n.*\n.* sent ping"):
        pair.client.ping()


def test_a_timeout_of_the_caller_raises_timeout_error(pair: Pair) -> None:
    with pytest.raises(TimeoutError, match=r"no message within 0\.01 s"):
        pair.client.recv(timeout=0.01)
    with pytest.raises(TimeoutError, match=r"no pong within 0\.01 s"):
        pair.client.ping(timeout=0.01)


def test_without_a_deadline_a_receive_waits(pair: Pair) -> None:
    pair.client.timeout = None
    timer = threading.Timer(0.1, pair.server.send, ["late"])
    timer.start()
    assert pair.client.recv() == "late"
    timer.join()


def test_the_end_of_the_stream_is_noted_once(ws_pair: Pair) -> None:
    client, server = ws_pair
    client.begin_close(4000, "enough")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(list, server)
        assert list(client) == list(client) == []
    shown = str(client.transcript)
    assert [line.split(" s  ")[1] for line in shown.splitlines()[1:]] == [
        "sent close 4000 enough",
        "received close 4000 enough",
        "received the end of the stream",
    ]
    assert "sent the end of the stream" in str(server.transcript)


@pytest.mark.parametrize("timeout", [None, TIMEOUT])
def test_a_reset_is_noted(wschat_server: Servers, ws_connect: Connections, timeout: float | None) -> None:
    server = wschat_server(echo)
    ws = ws_connect()
    ws.timeout = timeout
    server.faults.cut(reset=True)
    with pytest.raises(ConnectionClosed, match="1006"):
        ws.recv()
    assert "lost the connection: " in str(ws.transcript)


def test_a_transcript_of_tls_shows_the_decrypted_messages(wschat_server: Servers, ws_connect: Connections, certificate: Path) -> None:
    server = wschat_server(echo, tls=Certificate(certificate).context)
    assert server.url.startswith("wss://")
    ws = ws_connect(tls=client_context(certificate))
    ws.send("secret")
    assert ws.recv() == "secret"
    assert "sent text 'secret'" in str(ws.transcript)
