"""What the tests of the pages share: Chromium, windows that tell what went wrong in them, and a chat server to open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.server.command import Served
from tests.web.page.wiring import NODE_MODULES, SECRET, Windows, chromium, launch
from tests.web.wiring import OpenWeb, Web
from wschat.brokers.base import Retention
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    if chromium() is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium-headless-shell), which scripts/test installs as root")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def server(open_web: OpenWeb) -> Served:
    """A chat with its history in memory and no rate limit. It runs in the process of the tests: that saves a process for each test."""
    return served(open_web(MemoryBroker(Retention(0, 0))))


@pytest.fixture
def guarded(open_web: OpenWeb) -> Served:
    """A chat for clients with a token."""
    return served(open_web(access=Access(SECRET)))


def served(web: Web) -> Served:
    host, port = web.server.server_address[:2]
    return Served(str(host), port)


@pytest.fixture
def windows(browser: Browser) -> Iterator[Windows]:
    """Opens windows; at the end, none of them may have had an error or have broken the policy of its page."""
    windows = Windows(browser)
    try:
        yield windows
    finally:
        windows.close()
    assert windows.complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The checks of accessibility that npm's axe-core makes, as JavaScript."""
    path = NODE_MODULES / "axe-core/axe.min.js"
    if not path.exists():
        pytest.skip("needs npm's axe-core: npm install --prefix .cache/node axe-core@4, which scripts/test does")
    return Path(path).read_text()
