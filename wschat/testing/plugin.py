"""The pytest plugin: its options, fixtures and hooks.

pytest loads it in each run in an environment that has wschat, so it imports the rest of wschat only when a fixture is used.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wschat.testing.connections import Connections, Pair
    from wschat.testing.servers import Servers

_SERVERS: pytest.StashKey[Servers] = pytest.StashKey()
_CONNECTIONS: pytest.StashKey[Connections] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    parser.addini("wschat_timeout", "seconds that a receive in a test waits at most; 0 for no limit", default="5")
    group = parser.getgroup("wschat")
    group.addoption("--wschat-seed", type=int, metavar="N", help="Seed of the random numbers of faults: that of a run to be repeated.")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed of the run, if none is given. A worker of pytest-xdist has that of the whole run."""
    if config.option.wschat_seed is None:
        seed = int.from_bytes(os.urandom(4), "big")
        config.option.wschat_seed = getattr(config, "workerinput", {}).get("wschat_seed", seed)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    """Give the seed to a worker."""
    node.workerinput["wschat_seed"] = node.config.option.wschat_seed


@pytest.fixture
def wschat_server(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Starts servers: wschat_server(handler), wschat_server.chat(). They are stopped after the test, which fails if a handler failed."""
    from wschat.testing.servers import Servers

    __tracebackhide__ = True
    seed = f"{request.config.option.wschat_seed} {request.node.nodeid}"
    with Servers(seed, _timeout(request.config)) as servers:
        request.node.stash[_SERVERS] = servers
        yield servers


@pytest.fixture
def ws_connect(request: pytest.FixtureRequest, wschat_server: Servers) -> Iterator[Connections]:
    """Opens WebSockets: ws_connect(), ws_connect("/path"), ws_connect("ws://host:port/"). They are closed after the test."""
    from wschat.testing.connections import Connections

    with Connections(lambda: wschat_server.url, _timeout(request.config)) as connections:
        request.node.stash[_CONNECTIONS] = connections
        yield connections


@pytest.fixture
def ws_pair(ws_connect: Connections) -> Pair:
    """The client's and the server's end of a connection over a socket pair."""
    return ws_connect.pair()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test in which a handler has failed. If the test has failed itself, the handler's exception is shown as the cause."""
    __tracebackhide__ = True
    try:
        result = yield
    except Exception as error:
        causes = _take_errors(item)
        if causes and error.__cause__ is None and error is not causes[0]:
            error.__cause__ = causes[0]
        raise
    for cause in _take_errors(item):
        raise cause
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the seed and the transcripts to the report of a failure."""
    report = yield
    if report.failed and _SERVERS in item.stash:
        from wschat.testing.report import transcripts_of

        seed = f"repeat the faults with --wschat-seed={item.config.option.wschat_seed}"
        texts = transcripts_of(item.stash[_SERVERS], item.stash.get(_CONNECTIONS, None))
        report.sections.append(("wschat", "\n".join([seed, *texts])))
    return report


def _take_errors(item: pytest.Item) -> list[BaseException]:
    return item.stash[_SERVERS].take_errors() if _SERVERS in item.stash else []


def _timeout(config: pytest.Config) -> float | None:
    """Return the seconds that a receive waits, None for no limit. Raises pytest.UsageError."""
    text = config.getini("wschat_timeout")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise pytest.UsageError(f"wschat_timeout must be a number of seconds, or 0 for no limit, not {text!r}")
    return seconds or None
