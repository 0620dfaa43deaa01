"""Process-wide settings of the command."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.server.command import running
from wschat.cli import process
from wschat.cli.process import switch_interval

_DEFAULT_SECONDS = 0.005  # of Python
_CLIENTS = 1500
_QUICK_END = wschat.Limits(close_timeout=0.01)
_INTERVAL = """
import sys

def tell(ws):
    ws.send(str(sys.getswitchinterval()))
    ws.recv()
"""


@pytest.fixture(autouse=True)
def default_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect the default of Python, also with --switch-interval."""
    monkeypatch.setattr(process, "_SWITCH_SECONDS", _DEFAULT_SECONDS)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_interval_grows_with_many_connections() -> None:
    assert switch_interval(0) == switch_interval(500) == _DEFAULT_SECONDS
    assert switch_interval(3000) == pytest.approx(0.045)
    assert switch_interval(1_000_000) == 1


@pytest.mark.usefixtures("many_descriptors")
def test_a_command_with_many_connections_has_a_longer_interval(tmp_path: Path) -> None:
    """Else clients that all send at the same moment keep the processor busy with waking threads: `switch_interval` has figures."""
    (tmp_path / "app.py").write_text(_INTERVAL)
    options = ("--port", "0", "--max-connections-per-ip", "0", "--log-level", "warning", "--app", "app.py:tell")
    with running(*options, cwd=tmp_path) as server, ExitStack() as stack:
        clients = [stack.enter_context(wschat.connect(server.url, limits=_QUICK_END)) for _ in range(_CLIENTS)]
        first, last = (float(clients[number].recv(TIMEOUT)) for number in (0, -1))
    assert first == pytest.approx(switch_interval(0))
    assert switch_interval(_CLIENTS - 100) <= last <= switch_interval(_CLIENTS)
