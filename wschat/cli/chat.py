"""The chat as the command serves it: its configuration, and how it is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from wschat.brokers.base import Retention
from wschat.brokers.opening import open_broker
from wschat.chat.access import Access, read_moderator
from wschat.chat.budgets import Budgets
from wschat.chat.chat import Chat
from wschat.chat.rates import Rate
from wschat.chat.tokens import read_secret
from wschat.errors import UsageError
from wschat.names import key_of
from wschat.server.proxies import parse_networks
from wschat.settings import Option, check_settings, setting

_RETENTION = Retention()
_MAX_DAYS = 1_000_000


def parse_moderators(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the names of moderators and their passwords, from texts like `NAME:PASSWORD-FILE`. Raises UsageError."""
    moderators = dict(map(read_moderator, texts))
    if len({key_of(name) for name in moderators}) < len(texts):
        raise UsageError("a moderator is given twice")
    return moderators


def _rate(flag: str, default: str, text: str) -> Rate | None:
    """Declare a setting that is a rate."""
    return setting(Rate.parse(default), option=Option(flag, text, metavar="N/SECONDS|off", parse=Rate.parse, default=default))


@dataclass(frozen=True, kw_only=True)
class ChatConfig:
    """The configuration of the chat. Raises UsageError for an invalid value."""

    history: str | None = setting(
        None,
        option=Option(
            "--history",
            alias="--broker",
            metavar="PATH|redis://HOST|memory|off|MODULE:CLASS",
            default="history.sqlite in the user's state directory",
            help="Where the chat keeps messages: in an SQLite file, in Redis, which several servers may share, in memory until the server "
            "stops, nowhere, or in a broker of your own.",
        ),
    )
    """What `open_broker` takes: the path of an SQLite file, for example; None for a file in the user's state directory."""
    keep_messages: int = setting(_RETENTION.messages, option=Option("--keep-messages", "Messages kept of each room; 0 for all."))
    """The number of messages kept of each room; 0 for all."""
    keep_days: float = setting(
        _RETENTION.days, option=Option("--keep-days", "Days for which messages are kept; 0 for no limit.", maximum=_MAX_DAYS)
    )
    """The days for which messages are kept; 0 for no limit."""
    auth_secret_file: str | None = setting(
        None,
        option=Option("--auth-secret-file", "Require a token that is signed with the secret in this file (see `wschat token`)."),
    )
    """The path of a file with the secret that tokens are signed with; None to require no tokens."""
    auth_audience: str | None = setting(None, option=Option("--auth-audience", "Accept only tokens for this audience (claim `aud`)."))
    """The audience that tokens must be for (claim `aud`); None for tokens without one."""
    moderators: Mapping[str, str] | tuple[()] = setting(
        (),
        option=Option(
            "--moderator",
            metavar="NAME:PASSWORD-FILE",
            parse=parse_moderators,
            help="Moderator of all rooms, who connects with ?name=NAME&password=PASSWORD. May be repeated.",
        ),
    )
    """The names of the moderators of all rooms, with their passwords."""
    insiders: Collection[str] = setting(
        (),
        check=parse_networks,
        option=Option(
            "--insider",
            metavar="CIDR",
            help="Address or network that may read /stats and /metrics, as the server's own machine may. May be repeated.",
        ),
    )
    """The addresses or networks that may read `/stats` and `/metrics`, besides the server's own machine."""
    rate: Rate | None = _rate("--rate", "10/1", "Chat messages that one connection may send; three times as many at once.")
    """The chat messages that one connection may send; None for no limit on messages or work."""
    work: Rate | None = _rate("--work", "5000/1", "Messages and events that the chat reads and delivers for one connection.")
    """The messages and events that the chat reads and delivers for one connection; None for no limit."""
    work_per_ip: Rate | None = _rate("--work-per-ip", "50000/1", "The same for all connections and HTTP requests of one address.")
    """The same for all connections and HTTP requests of one address; None for no limit."""
    max_rooms: int = setting(100_000, option=Option("--max-rooms", "Rooms that have a message; 0 for no limit."))
    """The rooms that have a message; 0 for no limit."""
    rooms_per_ip: Rate | None = _rate("--rooms-per-ip", "30/3600", "Rooms that one address may create; three times as many at once.")
    """The rooms that one address may create; None for no limit."""

    def __post_init__(self) -> None:
        check_settings(self)


PROTECTING = ("auth_secret_file", "moderators")
"""The settings that protect the chat. With another application they are refused, because they would not protect it."""


def open_chat(config: ChatConfig, history: str) -> Chat:
    """Return a chat that keeps its messages in `history`. Raises UsageError and HistoryUnavailable."""
    retention = Retention(config.keep_messages, config.keep_days)
    secret = read_secret(config.auth_secret_file) if config.auth_secret_file is not None else None
    access = Access(secret, dict(config.moderators), audience=config.auth_audience)
    budgets = Budgets(config.rate, config.work, config.work_per_ip) if config.rate else Budgets()
    return Chat(
        open_broker(history, retention),
        access=access,
        budgets=budgets,
        max_rooms=config.max_rooms,
        rooms_per_address=config.rooms_per_ip,
    )


def default_history() -> str:
    """Return the path of a file in the user's state directory. Raises UsageError if the user has no home directory."""
    try:
        folder = platformdirs.user_state_path("wschat", appauthor=False)
    except RuntimeError:  # from platformdirs
        folder = Path("~")
    if not folder.is_absolute():
        raise UsageError("this user has no home directory for a history: give --history PATH, memory or off, or set HOME")
    return str(folder / "history.sqlite")
