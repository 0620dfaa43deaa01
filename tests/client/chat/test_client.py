"""`wschat.ChatClient` against a chat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.chat.conftest import ChatFactory, broker, guests, open_chat  # noqa: F401  # fixtures
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import url_of
from wschat import ChatClient, ConnectionClosed, Rejected
from wschat.events import Joined, MessageEvent, Welcome


class ClientFactory(Protocol):
    """Starts a client, which ends with the test."""

    def __call__(self, name: str = "alice", **options: Any) -> ChatClient: ...


@pytest.fixture
def client_of(guests: Guests) -> Iterator[ClientFactory]:  # noqa: F811  # the fixture
    """Return a function that starts a client of the chat."""
    with ExitStack() as clients:

        def start(name: str = "alice", **options: Any) -> ChatClient:
            return clients.enter_context(ChatClient(url_of(guests.server), name=name, max_pause=0.05, **options))

        yield start


def test_a_text_is_said_and_heard(client_of: ClientFactory) -> None:
    client = client_of(rooms=["tea"])
    assert client.say("tea", "Hello!") == 1
    assert isinstance(client.recv(TIMEOUT), Welcome)
    assert isinstance(client.recv(TIMEOUT), Joined)
    message = client.recv(TIMEOUT)
    assert isinstance(message, MessageEvent)
    assert (message.room, message.seq, message.sender, message.text) == ("tea", 1, "alice", "Hello!")
    assert client.connected
    client.close()
    assert list(client) == []


def test_a_guest_with_a_secret_has_its_name_back_after_a_restart(client_of: ClientFactory) -> None:
    secret = "a-secret-of-22-letters-or-more"
    for number in (1, 2):
        client = client_of(secret=secret, rooms=["tea"])
        assert client.say("tea", "Hello!") == number
        client.close()
    with pytest.raises(Rejected, match="name-taken"):
        client_of(rooms=["tea"]).say("tea", "I am another alice.")


def test_a_guest_with_a_secret_takes_its_name_over_from_a_connection_that_is_still_open(client_of: ClientFactory) -> None:
    secret = "a-secret-of-22-letters-or-more"
    client = client_of(secret=secret, rooms=["tea"])
    assert client.say("tea", "Hello!") == 1
    assert client_of(secret=secret, rooms=["tea"]).say("tea", "Hello again!") == 2
    eventually(lambda: client.closed)
    assert isinstance(client.closed, ConnectionClosed)
    assert client.closed.code == 4001
