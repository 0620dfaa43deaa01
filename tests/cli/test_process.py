"""Process-wide settings of the command."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from tests.bench.crowd import masked
from tests.server.command import running
from tests.server.raw import request
from wschat.cli.process import switch_interval
from wschat.v1 import SUBPROTOCOL

_CLIENTS = 2000
_SECONDS = 50  # it takes about four seconds
# Much shorter than the default of 5 ms, so that two thousand clients are enough to stall a server.
_SHORT_INTERVAL = """
import sys
sys.setswitchinterval(0.0001)
from wschat.cli.serve import main
main()
"""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_interval_grows_with_many_connections() -> None:
    assert switch_interval(0) == switch_interval(500) == sys.getswitchinterval()
    assert switch_interval(3000) == pytest.approx(0.045)
    assert switch_interval(1_000_000) == 1


@pytest.mark.usefixtures("many_descriptors")
def test_clients_that_join_at_the_same_moment_are_all_answered() -> None:
    options = ("--port", "0", "--max-connections-per-ip", "0", "--log-level", "warning")
    with running(*options, command=[sys.executable, "-c", _SHORT_INTERVAL]) as server, ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(_CLIENTS)]
        for number, client in enumerate(clients):
            client.sendall(request(target=f"/?name=n{number}", headers={"Sec-WebSocket-Protocol": SUBPROTOCOL}))
        wait_for(b'"welcome"', clients)
        join = masked(json.dumps({"type": "join", "room": "crowd", "id": "joined by me"}).encode())
        for client in clients:
            client.sendall(join)
        wait_for(b'"joined by me"', clients)


def wait_for(wanted: bytes, clients: list[socket.socket]) -> None:
    """Read until each client has received this."""
    ends_at = monotonic() + _SECONDS
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ, b"")
        while selector.get_map():
            ready = selector.select(ends_at - monotonic())
            assert monotonic() < ends_at, f"{len(selector.get_map())} have not received {wanted!r} in {_SECONDS} s"
            for key, _ in ready:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                data = key.data[-len(wanted) :] + sock.recv(1 << 16)
                if wanted in data:
                    selector.unregister(sock)
                else:
                    selector.modify(sock, selectors.EVENT_READ, data)
