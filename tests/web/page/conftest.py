"""What the tests of the pages share: Chromium, windows that tell what went wrong in them, and a chat server to open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.server.command import Command, running
from tests.web.page.wiring import NODE_MODULES, SECRET, Windows, chromium, launch


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    if chromium() is None:
        pytest.skip("needs Chromium (on Debian: apt install chromium), which scripts/test installs as root")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[Command]:
    """A chat that keeps everything in memory, and lets a test say as much as it likes."""
    with running("--port", "0", "--history", "memory", "--rate", "off", "--keep-messages", "0") as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Command]:
    """A chat for those who have a token."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    with running("--port", "0", "--history", "memory", "--rate", "off", "--auth-secret-file", str(path)) as server:
        yield server


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
