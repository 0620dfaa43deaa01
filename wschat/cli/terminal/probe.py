"""Finding out what a server is: a chat of wschat, or any other."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from wschat.cli.client.options import ConnectOptions
from wschat.client.event_parser import parse_event
from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed, OpeningFailed
from wschat.events import Welcome
from wschat.v1 import SUBPROTOCOL

_SECONDS_FOR_WELCOME = 3.0
_FINAL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_ROOM_PATH = re.compile(r"/rooms/([^/]+)/?$")
_DEFAULT_ROOM, _DEFAULT_NAME = "lobby", "guest"


def nameless(options: ConnectOptions) -> tuple[ConnectOptions, str | None]:
    """Return the options without the name of a guest, and that name. A name with a password in the URL stays there."""
    parts = urlsplit(options.url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = [value for key, value in query if key == "name"]
    if options.name is not None or not names or any(key == "password" for key, _ in query):
        return replace(options, name=None), options.name
    rest = urlencode([(key, value) for key, value in query if key != "name"])
    return replace(options, url=urlunsplit(parts._replace(query=rest))), names[0]


def with_secret(options: ConnectOptions, secret: str | None) -> ConnectOptions:
    """Return the options with the secret of a guest in the URL, unless there is one."""
    parts = urlsplit(options.url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if secret is None or any(key == "secret" for key, _ in query):
        return options
    return replace(options, url=urlunsplit(parts._replace(query=urlencode([*query, ("secret", secret)]))))


def find_chat(options: ConnectOptions) -> Welcome | Connection:
    """Connect, and return the chat's welcome, or an open connection to any other server.

    Raises what `ConnectOptions.open` raises. `options` must be nameless: the name would be in use for a moment longer.
    """
    try:
        ws = options.open(subprotocols=[SUBPROTOCOL])
    except OpeningFailed as error:
        if error.status in _FINAL:
            raise
        return options.open()  # a server that refuses subprotocols
    if ws.subprotocol != SUBPROTOCOL:
        return ws
    # Some servers choose any subprotocol.
    with ws:
        welcome = _first_event(ws)
    return welcome if isinstance(welcome, Welcome) else options.open()


def room_of(options: ConnectOptions) -> str:
    """Return the room to join: the one that was given, or that of the path."""
    match = _ROOM_PATH.search(urlsplit(options.url).path)
    return options.room or (unquote(match[1]) if match else _DEFAULT_ROOM)


def default_names() -> Iterator[str]:
    """Yield names for a user who gave none: the one on this machine, and others in case it is taken."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = ""
    name = re.sub(r"[^\w.-]", "", user)[:28].strip(".") or _DEFAULT_NAME
    yield name
    for number in range(2, 100):
        yield f"{name}{number}"


def _first_event(ws: Connection) -> object:
    try:
        return parse_event(ws.recv(_SECONDS_FOR_WELCOME))
    except (ValueError, RecursionError, TimeoutError, ConnectionClosed):
        return None
