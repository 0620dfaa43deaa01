"""Fixtures for the tests of the pages: Chromium, windows whose errors are collected, and chat servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.programs import NODE_MODULES
from tests.server.command import Served
from tests.web.page.wiring import SECRET, Windows
from tests.web.wiring import OpenWeb, Web
from wschat.brokers.base import Retention
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access


@pytest.fixture
def server(open_web: OpenWeb) -> Served:
    """A chat server with its history in memory and no rate limit, in the process of the tests."""
    return served(open_web(MemoryBroker(Retention(0, 0))))


@pytest.fixture
def guarded(open_web: OpenWeb) -> Served:
    """A chat server that needs a token from its clients, in the process of the tests."""
    return served(open_web(access=Access(SECRET)))


def served(web: Web) -> Served:
    host, port = web.server.server_address[:2]
    return Served(str(host), port)


@pytest.fixture
def windows(browser: Browser) -> Iterator[Windows]:
    """Opens windows; at the end of the test, no window may have logged an error or a violation of the page's content policy."""
    windows = Windows(browser)
    try:
        yield windows
    finally:
        windows.close()
    assert windows.complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checks of npm's axe-core, as JavaScript."""
    path = NODE_MODULES / "axe-core/axe.min.js"
    if not path.exists():
        pytest.skip("needs npm's axe-core: npm install --prefix .cache/node axe-core@4, which scripts/test does")
    return Path(path).read_text()
