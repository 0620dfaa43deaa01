"""Helpers for the tests of the chat: clients that speak `wschat.v1` or plain text."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import url_of
from wschat.v1 import SUBPROTOCOL

Event = dict[str, Any]


class Client:
    """A client that speaks `wschat.v1`. Events that arrive while it waits for another are kept in order."""

    def __init__(self, ws: wschat.Connection) -> None:
        self.ws = ws
        self._kept: deque[Event] = deque()
        self._ids = itertools.count(1)

    def tell(self, **request: object) -> None:
        """Send a request without waiting for a reply."""
        self.ws.send(json.dumps(request))

    def ask(self, **request: object) -> Event:
        """Send a request, with a new id unless it has one. Return the reply."""
        request_id = request.setdefault("id", f"ask-{next(self._ids)}")
        self.tell(**request)
        return self.next(lambda event: event.get("id") == request_id)

    def join(self, room: str = "tea", **fields: object) -> Event:
        """Join a room. Return the `joined` event."""
        joined = self.ask(type="join", room=room, **fields)
        assert joined["type"] == "joined", joined
        return joined

    def catch_up(self, room: str, since: int) -> list[Event]:
        """Join a room. Return all messages after a number, in as many requests as it takes. Newer ones arrive as events."""
        joined = self.join(room, since=since)
        assert not joined["gap"]
        missed: list[Event] = joined["messages"]
        while missed and missed[-1]["seq"] < joined["last"]:
            messages = self.ask(type="history", room=room, since=missed[-1]["seq"], limit=1000)["messages"]
            missed += [message for message in messages if message["seq"] <= joined["last"]]
        return missed

    def say(self, text: str, room: str = "tea", **fields: object) -> int:
        """Send a message to a room. Return its number."""
        ack = self.ask(type="say", room=room, text=text, **fields)
        assert ack["type"] == "ack", ack
        return int(ack["seq"])

    def next(self, wanted: str | Callable[[Event], bool]) -> Event:
        """Return the first unread event of this type, or for which a function returns True."""
        is_wanted = wanted if callable(wanted) else lambda event: event["type"] == wanted
        for place, event in enumerate(self._kept):
            if is_wanted(event):
                del self._kept[place]
                return event
        while not is_wanted(event := json.loads(self.ws.recv(timeout=TIMEOUT))):
            self._kept.append(event)
        return event

    def seen(self) -> list[Event]:
        """Return all unread events that have been sent to this client so far."""
        # The reply to a request is sent after earlier events.
        self.ask(type="rooms")
        self.ask(type="rooms")
        seen = list(self._kept)
        self._kept.clear()
        return seen


class Guests:
    """Opens connections to a server, which are closed after the test."""

    def __init__(self, server: wschat.WebSocketServer, stack: ExitStack) -> None:
        self.server = server
        self._stack = stack

    def connect(self, path: str = "/", **options: Any) -> wschat.Connection:
        """Open a connection."""
        return self._stack.enter_context(wschat.connect(url_of(self.server, path), **options))

    def v1(self, name: str | None = None, room: str | None = None, **options: Any) -> Client:
        """Connect a `wschat.v1` client and wait for its welcome, optionally with a name and in a room."""
        query = f"/?name={name}" if name else "/"
        client = Client(self.connect(options.pop("path", query), subprotocols=[SUBPROTOCOL], **options))
        assert client.next("welcome")["name"] == name or "path" in options or name is None
        if room:
            client.join(room)
        return client

    def plain(self, path: str = "/", **options: Any) -> wschat.Connection:
        """Connect a plain text client and wait until it is in its room."""
        ws = self.connect(path, **options)
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        ws.send("/who")
        assert str(ws.recv(TIMEOUT)).startswith("In ")
        return ws


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
