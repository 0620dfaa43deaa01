"""The benchmarks, for a moment each: what they check is right, whatever they measure."""

from __future__ import annotations

import importlib.util
import math
import sys

import pytest

from tests.bench import beside
from tests.concurrency import eventually
from tests.conftest import ServerFactory
from tests.programs import run_program

COMMANDS = ["say 0.3 200", "chat 0.3 200", "rooms 100 0.3", "attack history 0.3", "mixed 1 20 10", "upload 1", "wsgi 1 1"]


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_lost(command: str) -> None:
    assert "measured" in run_program("import tests.bench.__main__", *command.split())


@pytest.mark.skipif(importlib.util.find_spec("flask") is None, reason="needs Flask: pip install flask")
def test_requests_beside_websockets_are_timed(serve: ServerFactory) -> None:
    from tests.bench.flask_app import app, sock

    server = serve(sock.handler, wsgi=app)
    with beside.holding(server.port, "/ws") as opened:
        assert opened == 100
        eventually(lambda: server.load().connections["websocket"] == 100)
        assert 0 < beside.latency_of(server.port, 10) < math.inf
