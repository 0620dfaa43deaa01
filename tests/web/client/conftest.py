"""Fixtures for the tests of the client for JavaScript: Node with the file that the server serves, and chats with faults."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.concurrency import TIMEOUT
from tests.web.client.wiring import Node, running_node
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Starts servers that are reached over a network with faults."""
    with Servers(seed="1", timeout=TIMEOUT) as servers:
        yield servers


@pytest.fixture
def chat(servers: Servers) -> LiveServer:
    """A chat with its history in memory, over a network with faults."""
    return servers.chat()


@pytest.fixture(scope="session")
def client_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, as a server serves it."""
    file = tmp_path_factory.mktemp("client") / "wschat.mjs"
    with Servers(seed="1", timeout=TIMEOUT) as servers:
        url = servers.chat().url.replace("ws", "http", 1)
        with urllib.request.urlopen(f"{url}wschat.js" if url.endswith("/") else f"{url}/wschat.js") as response:
            file.write_bytes(response.read())
    return file


@pytest.fixture(scope="session")
def shared_node(client_file: Path) -> Iterator[Node]:
    """A process of Node with the client, for all tests: it takes longer to start than most of them."""
    with running_node(client_file) as node:
        yield node


@pytest.fixture
def node(shared_node: Node, client_file: Path) -> Iterator[Node]:
    """A process of Node with the client, without clients of other tests."""
    with ExitStack() as own:
        node = shared_node if shared_node.is_running else own.enter_context(running_node(client_file))
        own.enter_context(node.in_time())
        yield node
        node.run("reset()")
