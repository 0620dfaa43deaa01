"""Fixtures for all tests: servers on free ports, and a check that no test leaves a thread running."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from hypothesis import settings

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import wire
from tests.redis_server import RedisServer, running_redis
from tests.tls import client_context, make_certificate
from wschat.connection.connection import Connection

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["wire"]

# A property holds however slow the machine is.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")

ServerFactory = Callable[..., wschat.WebSocketServer]

# If this environment variable is set, coverage measures a subprocess too.
_MEASURES_SUBPROCESSES = "COVERAGE_PROCESS_CONFIG"
# Tests of code that only runs in subprocesses. Other subprocesses are not measured, since that takes twice the time.
_MEASURED_AS_SUBPROCESSES = ("tests/cli/", "tests/test_stdio.py", "tests/test_dependencies.py", "tests/testing/test_plugin.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option that makes races more likely."""
    parser.addoption("--switch-interval", type=float, metavar="SECONDS", help="let threads take turns this often (sys.setswitchinterval)")


def pytest_configure(config: pytest.Config) -> None:
    """Set the switch interval, in each worker, too."""
    if (interval := config.getoption("--switch-interval")) is not None:
        sys.setswitchinterval(interval)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files if there are several workers, because all page tests need the processor, and most others wait."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: crc32(item.nodeid.partition("::")[0].encode()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have coverage measure the subprocesses of some tests only."""
    with pytest.MonkeyPatch.context() as patch:
        if not item.nodeid.startswith(_MEASURED_AS_SUBPROCESSES):
            patch.delenv(_MEASURES_SUBPROCESSES, raising=False)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skipped tests into failures in CI, where everything that tests need is installed."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def no_event_loop_is_left() -> Iterator[None]:
    """Fail a test that leaves an event loop running, because the next one could not run a loop of its own."""
    yield
    assert asyncio._get_running_loop() is None


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread running: every thread must be ended by its owner."""
    before = set(threading.enumerate())
    yield
    ends_at = monotonic() + 5
    # Before Python 3.13, `threading` keeps a dummy object for each thread that it did not start and that requests its name,
    # as logging does. Dummies need not be ended.
    for thread in {thread for thread in threading.enumerate() if not thread.name.startswith("Dummy-")} - before:
        thread.join(max(0.0, ends_at - monotonic()))
        assert not thread.is_alive(), f"{thread} is still running"


@pytest.fixture
def browser(shared_browser: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The system's Chromium, headless."""
    browser, loop = shared_browser
    with running_loop(loop):
        yield browser


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """The Chromium of all tests of a process, because Playwright can run once in a thread, and the event loop that it needs."""
    from playwright.sync_api import sync_playwright

    from tests.web.page.wiring import chromium, launch

    if chromium() is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium-headless-shell), which scripts/test installs as root")
    playwrights = sync_playwright()
    browser = launch(playwrights.__enter__())
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    yield browser, loop
    with running_loop(loop):
        browser.close()
        playwrights.__exit__()


@contextmanager
def running_loop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let a loop count as running in this thread.

    That of Playwright does so from the first to the last page, and a test in between could not run a loop of its own.
    """
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server that no test stops. Each test has a prefix of its own."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server that the test may stop."""
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def serve() -> Iterator[ServerFactory]:
    """A function like `wschat.serve` that takes a free port and starts the server, which is stopped after the test."""
    with ExitStack() as servers:

        def start(handler: Any, host: str = "127.0.0.1", port: int = 0, **options: Any) -> wschat.WebSocketServer:
            server = servers.enter_context(wschat.serve(handler, host, port, **options))
            return server.start()

        yield start


@pytest.fixture
def echo_url(serve: ServerFactory) -> str:
    """The URL of an echo server."""
    return url_of(serve(echo))


def echo(ws: Connection) -> None:
    for message in ws:
        ws.send(message)


def check_echo(server: wschat.WebSocketServer, certificate: Path | None = None) -> None:
    """Check that an echo server echoes, over TLS if a certificate is given."""
    scheme, tls = ("wss", client_context(certificate)) if certificate else ("ws", None)
    with wschat.connect(f"{scheme}://127.0.0.1:{server.port}/", tls=tls) as ws:
        ws.send("still there?")
        assert ws.recv(TIMEOUT) == "still there?"


def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> logging.LogRecord:
    """Wait for the first log record that contains a text."""
    found: list[logging.LogRecord] = []

    def look() -> bool:
        found.extend(record for record in list(caplog.records) if text in record.getMessage())
        return bool(found)

    eventually(look)
    return found[0]


def url_of(server: wschat.WebSocketServer, path: str = "/") -> str:
    return f"ws://127.0.0.1:{server.port}{path}"
