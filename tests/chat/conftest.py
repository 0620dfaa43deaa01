"""Fixtures for the tests of the chat: a chat for each test, with each of the brokers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.chat.wiring import Guests
from tests.conftest import ServerFactory
from tests.redis_server import RedisServer
from wschat.brokers.base import Broker
from wschat.brokers.opening import open_broker
from wschat.chat.chat import SUBPROTOCOLS, Chat


class ChatFactory(Protocol):
    """Starts the server of a chat and returns an object that opens connections to it."""

    def __call__(self, broker: Broker | None = None, **options: Any) -> Guests: ...


@pytest.fixture(params=["sqlite", "memory", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    """A broker that keeps messages. The chat that uses it closes it."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return open_broker(f"{server.url}?prefix={tmp_path}:")
    return open_broker(str(tmp_path / "history.sqlite") if request.param == "sqlite" else "memory")


@pytest.fixture
def open_chat(serve: ServerFactory) -> Iterator[ChatFactory]:
    """A function that opens a chat. After the test the clients are closed first, then the server, then the broker."""
    with ExitStack() as chats, ExitStack() as clients:

        def start(broker: Broker | None = None, *, server_options: dict[str, Any] | None = None, **options: Any) -> Guests:
            chat = Chat(broker, **options)
            chats.callback(chat.close)
            server = serve(chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS, **(server_options or {}))
            chats.callback(server.stop)
            return Guests(server, clients)

        yield start


@pytest.fixture
def guests(open_chat: ChatFactory, broker: Broker) -> Guests:
    """Opens connections to a chat that keeps messages."""
    return open_chat(broker)
