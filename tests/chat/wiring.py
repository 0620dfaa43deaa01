"""What the tests of the chat share: clients that speak `wschat.v1`, or plain text. Tests do not belong here."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import wschat
from tests.conftest import url_of
from tests.connection.wiring import PATIENCE
from wschat.chat.dialects.v1 import SUBPROTOCOL

Event = dict[str, Any]


class Client:
    """A client that speaks `wschat.v1`. What it is told while it waits for something else is kept, in order."""

    def __init__(self, ws: wschat.Connection) -> None:
        self.ws = ws
        self._kept: deque[Event] = deque()
        self._ids = itertools.count(1)

    def tell(self, **request: object) -> None:
        """Send a request, and do not wait for an answer."""
        self.ws.send(json.dumps(request))

    def ask(self, **request: object) -> Event:
        """Send a request with an id of its own, unless it has one, and wait for the answer."""
        request_id = request.setdefault("id", f"ask-{next(self._ids)}")
        self.tell(**request)
        return self.next(lambda event: event.get("id") == request_id)

    def join(self, room: str = "tea", **fields: object) -> Event:
        """Be in a room; the `joined` event."""
        joined = self.ask(type="join", room=room, **fields)
        assert joined["type"] == "joined", joined
        return joined

    def catch_up(self, room: str, since: int) -> list[Event]:
        """Be in a room, and get all that was missed after a number, as often as one has to ask; what is newer comes by itself."""
        joined = self.join(room, since=since)
        assert not joined["gap"]
        missed: list[Event] = joined["messages"]
        while missed and missed[-1]["seq"] < joined["last"]:
            messages = self.ask(type="history", room=room, since=missed[-1]["seq"], limit=1000)["messages"]
            missed += [message for message in messages if message["seq"] <= joined["last"]]
        return missed

    def say(self, text: str, room: str = "tea", **fields: object) -> int:
        """Say something; the number that it got."""
        ack = self.ask(type="say", room=room, text=text, **fields)
        assert ack["type"] == "ack", ack
        return int(ack["seq"])

    def next(self, wanted: str | Callable[[Event], bool]) -> Event:
        """The first event of this type, or that is meant so, of those not taken yet."""
        is_wanted = wanted if callable(wanted) else lambda event: event["type"] == wanted
        for place, event in enumerate(self._kept):
            if is_wanted(event):
                del self._kept[place]
                return event
        while not is_wanted(event := json.loads(self.ws.recv(timeout=PATIENCE))):
            self._kept.append(event)
        return event

    def seen(self) -> list[Event]:
        """All that has come up to now and was not taken."""
        # The answer to a request comes after what was sent before it.
        self.ask(type="rooms")
        self.ask(type="rooms")
        seen = list(self._kept)
        self._kept.clear()
        return seen


class Guests:
    """Opens connections to one server, which end with the test."""

    def __init__(self, server: wschat.WebSocketServer, stack: ExitStack) -> None:
        self.server = server
        self._stack = stack

    def connect(self, path: str = "/", **options: Any) -> wschat.Connection:
        """Any connection."""
        return self._stack.enter_context(wschat.connect(url_of(self.server, path), **options))

    def v1(self, name: str | None = None, room: str | None = None, **options: Any) -> Client:
        """A client past its welcome, with a name and in a room if they are given."""
        query = f"/?name={name}" if name else "/"
        client = Client(self.connect(options.pop("path", query), subprotocols=[SUBPROTOCOL], **options))
        assert client.next("welcome")["name"] == name or "path" in options or name is None
        if room:
            client.join(room)
        return client

    def plain(self, path: str = "/", **options: Any) -> wschat.Connection:
        """A client in plain text, once it is in its room."""
        ws = self.connect(path, **options)
        assert ws.recv(PATIENCE) == "Welcome to the chat!"
        ws.send("/who")
        assert str(ws.recv(PATIENCE)).startswith("In ")
        return ws


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
