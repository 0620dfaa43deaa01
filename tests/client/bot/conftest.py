"""A chat that keeps its messages, and bots in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.chat.conftest import ChatFactory, open_chat  # noqa: F401  # a fixture
from tests.chat.wiring import Guests
from tests.conftest import url_of
from wschat import Bot
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access


class BotFactory(Protocol):
    """Makes a bot for the room `tea` of the chat, which is closed after the test."""

    def __call__(self, name: str = "dice", **options: Any) -> Bot: ...


@pytest.fixture
def chat(open_chat: ChatFactory) -> Guests:  # noqa: F811  # the fixture
    """Open connections to a chat with the moderator root."""
    return open_chat(MemoryBroker(), access=Access(moderators={"root": "secret"}))


@pytest.fixture
def bot_of(chat: Guests) -> Iterator[BotFactory]:
    """Return a function that makes a bot."""
    bots: list[Bot] = []

    def make(name: str = "dice", **options: Any) -> Bot:
        bots.append(Bot(**{"url": url_of(chat.server), "name": name, "rooms": ["tea"], "max_pause": 0.05, **options}))
        return bots[-1]

    yield make
    for bot in bots:
        bot.close()
