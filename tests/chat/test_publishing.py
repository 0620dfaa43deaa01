"""`publish`: a message without a server of the chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.redis_server import RedisServer
from wschat.brokers.redis.broker import RedisBroker


@pytest.fixture
def url(redis_server: RedisServer, tmp_path: Path) -> str:
    return f"{redis_server.url}?prefix={tmp_path}:"


def test_what_is_published_reaches_the_clients_of_the_servers(url: str, open_chat: ChatFactory) -> None:
    alice = open_chat(RedisBroker(url)).v1("alice", "tea")
    assert wschat.publish(url, "Tea", "Version 42 is out.") == 1
    assert wschat.publish(url, "tea", "And 43.", name="Deploy") == 2
    events = [alice.next("message") for _ in range(2)]
    assert [(event["seq"], event["from"], event["text"]) for event in events] == [
        (1, "Server", "Version 42 is out."),
        (2, "Deploy", "And 43."),
    ]


def test_a_text_is_published_once_with_its_id(url: str) -> None:
    assert [wschat.publish(url, "tea", "one", id="a") for _ in range(2)] == [1, 1]
    assert wschat.publish(url, "tea", "one", id="b") == 2
    with pytest.raises(wschat.Rejected, match="id-used"):
        wschat.publish(url, "tea", "another", id="a")


def test_publishing_deletes_nothing(url: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """The servers may keep more than is kept by default."""
    key = f"{tmp_path}:{{room:tea}}:"
    redis_server.client.xadd(f"{key}log", {"s": "alice", "t": "a year old", "w": "1700000000.000000", "k": ""}, id="1-0")
    redis_server.client.hset(f"{key}room", mapping={"last": "1", "time": "1700000000.000000"})
    assert wschat.publish(url, "tea", "new") == 2
    assert redis_server.client.xlen(f"{key}log") == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"room": "two words"}, '"room" must be 1 to 32 letters'),
        ({"text": " "}, '"text" must not be blank'),
        ({"text": 5}, '"text" must be a string'),
        ({"id": "x" * 1000}, '"id" must be a string of at most'),
        ({"name": "two words"}, "name must be 1 to 32 letters"),
        ({"url": "sqlite:history"}, "url must be that of a broker for several processes, such as redis://HOST"),
        ({"url": None}, "url must be that of a broker"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(wschat.UsageError, match=error):
        wschat.publish(**{"url": "redis://127.0.0.1:1", "room": "tea", "text": "x", **arguments})


def test_without_the_broker_it_fails(own_redis: RedisServer) -> None:
    own_redis.kill()
    with pytest.raises(wschat.HistoryUnavailable, match="cannot be used"):
        wschat.publish(own_redis.url, "tea", "x")
