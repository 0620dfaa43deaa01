"""Connecting to Redis: URLs, servers that are refused, and what is said about those that may lose messages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.wiring import say
from tests.redis_server import RedisServer, running_redis
from wschat.brokers.opening import open_broker, without_password
from wschat.errors import HistoryUnavailable, UsageError


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("redis+tcp://127.0.0.1", "must begin with one of redis://, rediss://"),
        ("redis://127.0.0.1:port", "cannot use redis://127.0.0.1:port"),
        ("redis://127.0.0.1?socket_timeout=9", "the option socket_timeout cannot be given"),
        ("redis://127.0.0.1?db=x", "cannot use redis://127.0.0.1"),
        ("redis://[::1", "the URL of the Redis server is not valid"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        open_broker(url)


def test_an_option_that_there_is_not_is_refused(redis_server: RedisServer) -> None:
    with pytest.raises(UsageError, match="the URL has an option that there is not"):
        open_broker(f"{redis_server.url}?prefics=x")


def test_a_server_that_does_not_answer_is_unavailable(own_redis: RedisServer) -> None:
    own_redis.kill()
    with pytest.raises(HistoryUnavailable, match=f"redis://127.0.0.1:{own_redis.port} cannot be used: .*refused"):
        open_broker(own_redis.url)


def test_a_password_is_used_and_never_shown(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as server:
        server.client.acl_setuser("chat", enabled=True, passwords=["+s3cret"], keys=["*"], categories=["+@all"])
        server.client.acl_setuser("default", enabled=True, reset_keys=True, commands=["+ping", "+acl"])
        address = f"127.0.0.1:{server.port}"
        with closing(open_broker(f"redis://chat:s3cret@{address}")) as broker:
            assert say(broker, "lobby", "one") == [1]
        with pytest.raises(UsageError, match="invalid username-password") as caught:
            open_broker(f"redis://chat:wr0ng@{address}")
        assert "wr0ng" not in str(caught.value)
        with pytest.raises(UsageError, match="no permissions"):
            open_broker(f"redis://{address}")


def test_the_url_that_people_see_has_no_password() -> None:
    assert without_password("rediss://user:pass@host:1/2?prefix=x") == "rediss://host:1/2"
    assert without_password("redis://host") == "redis://host"
    assert without_password("sqlite:a@b?c") == "sqlite:a@b?c"


def test_a_unix_socket_and_the_scheme_of_valkey(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    with running_redis(tmp_path / "redis", "--unixsocket", str(socket)) as server:
        for url in (f"redis+unix://{socket}", f"valkey+unix://{socket}", f"valkey://127.0.0.1:{server.port}"):
            with closing(open_broker(url)) as broker:
                assert say(broker, "lobby", "x", key="k") == [1]


def test_a_server_that_deletes_messages_to_save_memory_is_refused(tmp_path: Path) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    error = "maxmemory-policy must be noeviction, not allkeys-lru"
    with running_redis(tmp_path / "redis", *options) as server, pytest.raises(UsageError, match=error):
        open_broker(server.url)


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (["--appendonly", "no"], "has no append-only file"),
        (["--appendfsync", "everysec"], "a crash of its machine loses that second"),
        ([], None),
    ],
)
def test_a_server_that_may_lose_acknowledged_messages_is_used_with_a_warning(
    tmp_path: Path, options: list[str], warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(tmp_path / "redis", *options) as server:
        open_broker(server.url).close()
    assert [record.message for record in caplog.records if warning is None or warning in record.message] == caplog.messages
    assert len(caplog.messages) == (warning is not None)


def test_two_chats_may_share_a_server(own_redis: RedisServer) -> None:
    with closing(open_broker(f"{own_redis.url}?prefix=a:")) as one, closing(open_broker(f"{own_redis.url}/0?prefix=b:")) as other:
        assert say(one, "lobby", "x") == say(other, "lobby", "y") == [1]
    keys: Any = own_redis.client.keys
    assert {key.partition(b":")[0] for key in keys()} == {b"a", b"b"}
