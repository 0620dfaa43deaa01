"""The connections to Redis or Valkey, by a URL: from where, with which limits, and if the server can be used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from wschat.brokers.redis.keys import DEFAULT_PREFIX, Keys
from wschat.errors import HistoryUnavailable, UsageError

logger = logging.getLogger("wschat.brokers")

SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "redis+unix": "unix",
    "valkey+unix": "unix",
}
"""The schemes of URLs, and those that redis-py has for them."""
BLOCK_SECONDS = 5.0
"""How long the reader waits in Redis; then it asks again, so that it notices a server that is gone without a word."""
CHECK_SECONDS = 60
"""For how long Redis keeps what is written to find out if that is possible."""

_TIMEOUT = 5.0  # seconds for a command, for a connection, and for a free one of the pool
_MAX_CONNECTIONS = 16  # besides those of the threads with a client of their own
_MIN_VERSION = (7, 0)
# What a URL cannot set, because it is set here or would change what replies look like.
_OWN_OPTIONS = {
    *("max_connections", "timeout", "socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry", "retry_on_timeout"),
    *("retry_on_error", "protocol", "client_name", "decode_responses", "encoding", "encoding_errors", "redis_connect_func"),
}
_RAW_REPLIES = ("XRANGE", "XREVRANGE", "XREAD")  # as Redis sends them: redis-py would make dictionaries of the entries


class _Address(NamedTuple):
    url: str  # for redis-py
    shown: str  # without the password
    prefix: str


class Server:
    """The connections of one broker. Raises UsageError for a URL or a server that cannot be used, and HistoryUnavailable."""

    def __init__(self, url: str) -> None:
        address = _parse(url)
        self.url = address.shown
        """The URL, without the password."""
        self.keys = Keys(address.prefix)
        """The names of the keys."""
        try:
            self.client = _open(address.url, _TIMEOUT, _MAX_CONNECTIONS)
            """For any thread but those of the others: however many threads read, these have a connection."""
            self.appender_client = _open(address.url, _TIMEOUT, 1)
            """For the appender."""
            self.announcer_connections = Connections()
            """The connections that were made for the announcer."""
            self.announcer_client = _open(address.url, _TIMEOUT, 1, self.announcer_connections)
            """For the announcer."""
            self.reader_connections = Connections()
            """The connections that were made for the reader."""
            self.reader_client = _open(address.url, BLOCK_SECONDS + _TIMEOUT, 1, self.reader_connections)
            """For the reader, whose commands wait in Redis."""
            self._check()
        except TypeError:  # redis-py takes the options of a URL as arguments
            raise UsageError(f"cannot use {self.url}: the URL has an option that there is not") from None
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"cannot use {self.url}: {error}") from None

    def room_names(self, client: Redis, after: str | None, limit: int) -> list[str]:
        """Return the first names of rooms that sort after a name, or the first of all for None. Raises RedisError."""
        names: Any = client.zrangebylex(self.keys.rooms, "-" if after is None else f"({after}", "+", 0, limit)
        return [name.decode() for name in names]

    def close(self) -> None:
        """Close all connections."""
        for client in (self.client, self.appender_client, self.announcer_client, self.reader_client):
            client.connection_pool.disconnect()

    def _check(self) -> None:
        try:
            with unavailable(self.url):
                info: Any = self.client.info()
                self.client.set(self.keys.check, 1, ex=CHECK_SECONDS)
        except HistoryUnavailable as error:
            if isinstance(error.__cause__, AuthenticationError | NoPermissionError):
                raise UsageError(str(error)) from None
            raise
        version = info["redis_version"]
        if tuple(map(int, version.split(".")[:2])) < _MIN_VERSION:
            raise UsageError(f"{self.url} is Redis {version}; wschat needs {'.'.join(map(str, _MIN_VERSION))} or newer")
        if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
            raise UsageError(
                f"{self.url} would delete messages to save memory: its maxmemory-policy must be noeviction, not {info['maxmemory_policy']}"
            )
        if not info.get("aof_enabled"):
            logger.warning("%s has no append-only file: if it crashes, messages are lost that were acknowledged", self.url)
        elif self._appendfsync() == "everysec":
            logger.warning("%s writes its append-only file once a second (appendfsync): a crash of its machine loses that second", self.url)

    def _appendfsync(self) -> str:
        """Return the setting, or "" if the user may not read it."""
        try:
            config: Any = self.client.config_get("appendfsync")
            return str(config.get("appendfsync", ""))
        except RedisError:
            return ""


class Connections:
    """Counts connections as they are made: redis-py makes a new one without a word if the last one was lost while it was idle."""

    def __init__(self) -> None:
        self.count = 0
        """How many were made."""

    def note(self, connection: AbstractConnection) -> None:
        """Note a connection, in place of its own `on_connect`, and call that."""
        self.count += 1
        connection.on_connect()  # type: ignore[no-untyped-call]


@contextmanager
def unavailable(url: str) -> Iterator[None]:
    """Raise HistoryUnavailable for an error of Redis."""
    try:
        yield
    except RedisError as error:
        raise HistoryUnavailable(f"{url} cannot be used: {error}") from error


def _parse(url: str) -> _Address:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise UsageError(f"the URL of a Redis server must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    try:
        parts = urlsplit(f"{SCHEMES[scheme]}://{rest}")
    except ValueError as error:
        raise UsageError(f"the URL of the Redis server is not valid: {error}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = options.pop("prefix", DEFAULT_PREFIX)
    for name in _OWN_OPTIONS & options.keys():
        raise UsageError(f"the option {name} cannot be given in the URL of the Redis server")
    query = f"?{urlencode(options)}" if options else ""
    shown = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return _Address(f"{SCHEMES[scheme]}://{parts.netloc}{parts.path}{query}", shown, prefix)


def _open(url: str, timeout: float, max_connections: int, connections: Connections | None = None) -> Redis:
    """Return a client that sends each command once: what may be sent again is the caller's decision."""
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    if connections is not None:
        options["redis_connect_func"] = connections.note
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=_TIMEOUT,
        socket_timeout=timeout,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name="wschat",
        **options,
    )
    client = Redis(connection_pool=pool)
    for command in _RAW_REPLIES:
        client.set_response_callback(command, lambda reply, **options: reply)
    return client
