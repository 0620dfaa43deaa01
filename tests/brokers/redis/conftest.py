"""Nodes: brokers of one chat, on one Redis server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.redis_server import RedisServer
from wschat.brokers.base import Retention
from wschat.brokers.redis.broker import RedisBroker

NodeFactory = Callable[..., RedisBroker]
"""Makes a node of the test's chat, which is closed at the end. May be given a retention."""


@pytest.fixture
def url(redis_server: RedisServer, tmp_path: Path) -> str:
    """The URL of a chat of the test's own."""
    return f"{redis_server.url}?prefix={tmp_path}:"


@pytest.fixture
def make_node(url: str) -> Iterator[NodeFactory]:
    with ExitStack() as nodes:

        def make(retention: Retention | None = None) -> RedisBroker:
            return nodes.enter_context(closing(RedisBroker(url, retention)))

        yield make
