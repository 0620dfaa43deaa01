"""Clients of a chat, and of a scripted server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.chat.conftest import guests, open_chat
from tests.client.chat.peers import Peer, Script
from tests.conftest import ServerFactory
from wschat import ChatClient, Limits
from wschat.brokers.base import Broker
from wschat.brokers.memory import MemoryBroker

__all__ = ["guests", "open_chat"]

# The scripted server does not answer a close frame, since it does not read at the end.
_QUICK = {"name": "alice", "max_pause": 0.02, "limits": Limits(close_timeout=0.1)}


class ClientFactory(Protocol):
    """Starts a client, which is closed after the test."""

    def __call__(self, url: str, **options: Any) -> ChatClient: ...


@pytest.fixture
def broker() -> Broker:
    """Return a broker for the chat that `guests` opens."""
    return MemoryBroker()


@pytest.fixture
def start_client() -> Iterator[ClientFactory]:
    """Return a function that starts clients, which reconnect quickly."""
    with ExitStack() as clients:

        def start(url: str, **options: Any) -> ChatClient:
            return clients.enter_context(ChatClient(url, **{**_QUICK, **options}))

        yield start


@pytest.fixture
def script(serve: ServerFactory) -> Iterator[Script]:
    """Return a server whose side of each connection the test controls."""
    script = Script(serve, ["wschat.v1"])
    yield script
    script.end()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads for blocking calls."""
    with ThreadPoolExecutor(20) as pool:
        yield pool


class Signed:
    """A client that has its name and is in the room `tea`, with the server's side of its connection."""

    def __init__(self, script: Script, client: ChatClient) -> None:
        self.script = script
        self.client = client
        self.peer = self.accept()

    def accept(self, **joined: Any) -> Peer:
        """Accept a connection of the client, and answer its requests for its name and room."""
        peer = self.script.accept()
        peer.sign_in()
        peer.joined(peer.next("join"), **joined)
        self.peer = peer
        return peer


@pytest.fixture
def signed(script: Script, start_client: ClientFactory) -> Signed:
    """Return a client that is in the room `tea`."""
    return Signed(script, start_client(script.url, rooms=["tea"]))
