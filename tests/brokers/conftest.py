"""A Redis server for the tests of brokers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer, running_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that no test stops. Each broker has a prefix of its own."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server
