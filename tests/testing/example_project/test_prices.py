"""Tests of the server with a plain connection, and of the client with a network that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from prices import Client, NoPrice, tell_prices

import wschat
from wschat.testing.connections import Connections
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers


@pytest.fixture
def server(wschat_server: Servers) -> LiveServer:
    return wschat_server(tell_prices)


@pytest.fixture
def client(server: LiveServer) -> Iterator[Client]:
    with closing(Client(server.url)) as client:
        yield client


# The server


def test_a_price_is_told(server: LiveServer, ws_connect: Connections) -> None:
    ws = ws_connect()
    ws.send("tea")
    assert ws.recv() == "tea: 3"


def test_an_unknown_name_closes_the_connection(server: LiveServer, ws_connect: Connections) -> None:
    ws = ws_connect()
    ws.send("cocoa")
    with pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv()
    assert closed.value.code == 1011
    assert isinstance(server.pop_error(), KeyError)  # without this line, the handler's error would fail the test


# The client


def test_the_client_opens_a_new_connection_when_one_is_lost(server: LiveServer, client: Client) -> None:
    assert client.price("tea") == 3
    server.faults.cut()
    assert client.price("tea") == 3


def test_the_client_asks_again_when_an_answer_breaks_off(server: LiveServer, client: Client) -> None:
    assert client.price("tea") == 3
    (connection,) = server.faults.connections
    connection.cut(after_bytes=5, reset=True, way="to_client")
    assert client.price("coffee") == 4


def test_the_client_gives_up_while_nothing_listens(server: LiveServer, client: Client) -> None:
    server.faults.refuse()
    with pytest.raises(NoPrice):
        client.price("tea")
    server.faults.clear()
    assert client.price("tea") == 3


def test_the_client_does_not_wait_forever_for_a_silent_server(server: LiveServer) -> None:
    with closing(Client(server.url, timeout=0.5)) as client:
        assert client.price("tea") == 3
        server.faults.connections[0].silence("to_client")
        assert client.price("tea") == 3  # over a second connection


def test_the_client_puts_an_answer_together(server: LiveServer, client: Client) -> None:
    server.faults.split(1)
    server.faults.delay((0, 0.01))
    assert client.price("coffee") == 4
