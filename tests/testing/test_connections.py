"""The fixture `ws_connect`: URLs, options, and closing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import wschat
from tests.conftest import echo
from wschat.testing.connections import PAIR_LIMITS, Connections
from wschat.testing.servers import Servers


def test_a_path_connects_to_the_last_started_server(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(lambda ws: ws.send("first"))
    wschat_server(lambda ws: ws.send(f"second {ws.path}"), path_prefix="/app")
    assert ws_connect().recv() == "second /"
    assert ws_connect("/there?a=b").recv() == "second /there?a=b"


def test_a_url_connects_to_any_server(wschat_server: Servers, ws_connect: Connections) -> None:
    first = wschat_server(lambda ws: ws.send("first"))
    wschat_server(lambda ws: ws.send("second"))
    assert ws_connect(first.url).recv() == "first"


def test_a_path_needs_a_server(ws_connect: Connections) -> None:
    with pytest.raises(wschat.UsageError, match=re.escape("/there is a path: start a server with wschat_server first, or give a URL")):
        ws_connect("/there")


def test_options_are_those_of_connect(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(echo, subprotocols=["one"])
    ws = ws_connect(subprotocols=["one", "two"], deflate=None)
    assert ws.subprotocol == "one"


def test_a_query_is_not_in_the_transcript(wschat_server: Servers, ws_connect: Connections) -> None:
    wschat_server(echo)
    assert "secret" not in str(ws_connect("/?token=secret").transcript)


def test_connections_are_closed_at_the_end(wschat_server: Servers) -> None:
    wschat_server(echo)
    with Connections(lambda: wschat_server.url, 5) as connections:
        first, second = connections(), connections()
        client, server = connections.pair()
        second.close(4000)
    ends = [ws.closed.code for ws in (first, second, client, server) if ws.closed is not None]
    assert ends == [1000, 4000, 1000, 1000]


def test_the_ends_of_a_pair_are_connected_to_each_other(ws_connect: Connections) -> None:
    client, server = ws_connect.pair(replace(PAIR_LIMITS, max_message_bytes=10))
    client.send(b"\0")
    assert server.recv() == b"\0"
    client.send("more than ten bytes")
    with pytest.raises(wschat.ConnectionClosed, match="1009"):
        server.recv()
