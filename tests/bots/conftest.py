"""A chat for the bots."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from tests.chat.conftest import open_chat  # noqa: F401  # a fixture
from tests.client.bot.conftest import chat  # noqa: F401  # a fixture
from tests.concurrency import eventually
from wschat import Bot


@pytest.fixture
def invoke() -> Iterator[Callable[..., Result]]:
    """Return a function that runs a command in this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield CliRunner().invoke
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    """Capture all log records of the bots."""
    caplog.set_level(logging.INFO, "wschat")


def until_connected(bot: Bot) -> None:
    """Wait until a bot is in its rooms."""
    eventually(lambda: bot.client.connected)
