"""Fixtures for the tests of the HTTP side: a chat with its site for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ServerFactory
from tests.web.proxies import Proxy, behind_nginx
from tests.web.wiring import OpenWeb, Web
from wschat.brokers.base import Broker
from wschat.brokers.memory import MemoryBroker
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.web.site import Site

MAX_BODY_BYTES = 64 * 1024


@pytest.fixture
def open_web(serve: ServerFactory) -> Iterator[OpenWeb]:
    """A function that opens a chat with its site. After the test the clients are closed first, then the server, then the broker."""
    with ExitStack() as chats, ExitStack() as clients:

        def start(broker: Broker | None = None, *, server_options: dict[str, Any] | None = None, **options: Any) -> Web:
            chat = Chat(broker or MemoryBroker(), **options)
            chats.callback(chat.close)
            site = Site(chat.http, MAX_BODY_BYTES)
            chats.callback(site.close)
            options_of_chat = {
                "check_request": chat.check_request,
                "subprotocols": SUBPROTOCOLS,
                "http": site,
                "public_paths": site.public_paths,
            }
            server = serve(chat.handle, **options_of_chat, **(server_options or {}))
            site.watch(server.load)
            chats.callback(server.stop)
            return Web(chat, server, clients)

        yield start


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Proxy]:
    """nginx in front of a chat with the path prefix /chat."""
    with behind_nginx(tmp_path) as nginx:
        yield nginx


@pytest.fixture
def web(open_web: OpenWeb) -> Web:
    """A chat with a history in memory."""
    return open_web()
