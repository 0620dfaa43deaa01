"""Opening a broker by a URL. Only this module knows the kinds of brokers."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from wschat.brokers.base import Broker, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError

_IN_MEMORY = ("memory", "off")
_REDIS_URL = re.compile(r"(redis|valkey)(s|\+\w+)?://")


def open_broker(url: str, retention: Retention | None = None) -> Broker:
    """Open a broker. Raises UsageError, or HistoryUnavailable if that is temporary.

    =================== ======================================================================================================
    `url`               the broker
    =================== ======================================================================================================
    `memory`            keeps messages until the process ends
    `off`               keeps no messages
    `sqlite:PATH`       keeps messages in a file
    `redis://HOST...`   keeps messages in Redis 7.0 or newer, or in Valkey, for any number of servers (extra `redis`); `rediss://` for
                        TLS, `valkey://` and `valkeys://` likewise
    `MODULE:CLASS`      an instance of a subclass of `Broker`, which is imported; called with `retention=` if its constructor
                        has this parameter, else without arguments
    any other text      a path, as with `sqlite:`
    =================== ======================================================================================================

    Two Python names with a colon between them, the first one with or without dots, are always a `MODULE:CLASS`. A file with such a
    name is given as `sqlite:NAME` or `./NAME`.
    """
    if url in _IN_MEMORY:
        return MemoryBroker(retention, keeps_messages=url == "memory")
    if is_shared(url):
        return _open_redis(url, retention)
    if _is_class_name(url):
        return _make(url, _load_class(url), retention)
    path = path_of(url)
    if path is None:
        raise UsageError(f"a broker must be memory, off, MODULE:CLASS, redis://HOST, sqlite:PATH or a path, not {url!r}")
    return SqliteBroker(path, retention)


def path_of(url: str) -> Path | None:
    """Return the path of the file in which the broker of a URL keeps its messages; None if it keeps them elsewhere."""
    path = url.removeprefix("sqlite:")
    return None if not path or url in _IN_MEMORY or is_shared(url) or _is_class_name(url) else Path(path)


def may_be_shared(url: str) -> bool:
    """Return True if the broker of a URL is one for several processes, or one of another package, which may be."""
    return is_shared(url) or _is_class_name(url)


def is_shared(url: str) -> bool:
    """Return True if the broker of a URL is one for several processes."""
    return isinstance(url, str) and _REDIS_URL.match(url) is not None


def without_password(url: str) -> str:
    """Return the URL of a broker, for people to see: without a user, a password and options."""
    if not _REDIS_URL.match(url):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _open_redis(url: str, retention: Retention | None) -> Broker:
    try:
        from wschat.brokers.redis.broker import RedisBroker  # needs an extra, and takes a tenth of a second
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise UsageError("a broker in Redis needs redis-py: pip install wschat[redis]") from None
    return RedisBroker(url, retention)


def _is_class_name(url: str) -> bool:
    module, _, name = url.rpartition(":")
    return module != "sqlite" and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _load_class(url: str) -> type[Broker]:
    module, _, name = url.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise UsageError(f"cannot load the broker {url}: {error} (for a file of this name, give sqlite:{url})") from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"cannot load the broker {url}: {_in_one_line(error)}") from None
    if not (isinstance(found, type) and issubclass(found, Broker)):
        raise UsageError(f"cannot load the broker {url}: {name} must be a subclass of {Broker.__module__}.Broker, not {found!r}")
    return found


def _make(url: str, broker_class: type[Broker], retention: Retention | None) -> Broker:
    try:
        options = {"retention": retention} if "retention" in inspect.signature(broker_class).parameters else {}
        return broker_class(**options)
    except (HistoryUnavailable, UsageError):
        raise
    except Exception as error:
        raise UsageError(f"cannot make the broker {url}: {_in_one_line(error)}") from None


def _in_one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
