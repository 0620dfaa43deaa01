"""A server of `wschat.v1` whose side of each connection the test controls."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of

Request = dict[str, Any]


class Peer:
    """The server's side of one connection."""

    def __init__(self, ws: wschat.Connection) -> None:
        self.ws = ws
        self.is_over = threading.Event()

    def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        self.ws.send(json.dumps({"type": kind, **fields}))

    def welcome(self, name: str | None = None, secret: str | None = None, **limits: float) -> None:
        """Send the first event."""
        self.send("welcome", server="test", name=name, limits=limits, **({"secret": secret} if secret else {}))

    def next(self, kind: str) -> Request:
        """Wait for the next request, which must have this type."""
        request: Request = json.loads(self.ws.recv(TIMEOUT))
        assert request["type"] == kind, request
        return request

    def reply(self, request: Request, kind: str = "ack", **fields: object) -> None:
        """Reply to a request."""
        self.send(kind, id=request["id"], **fields)

    def reject(self, request: Request, code: str, **fields: object) -> None:
        """Reply to a request with an error."""
        self.reply(request, "error", code=code, text=f"It is {code}.", **fields)

    def joined(self, request: Request, last: int = 0, **fields: object) -> None:
        """Reply to a `join`."""
        default = {"epoch": "e", "members": ["alice"], "messages": [], "more": False, "gap": False}
        self.reply(request, "joined", room=request["room"], last=last, **{**default, **fields})

    def sign_in(self, secret: str = "s" * 32, **limits: float) -> Request:
        """Welcome a guest and grant the name that it requests. Return the request for the name."""
        self.welcome(None, secret, **limits)
        request = self.next("nick")
        self.reply(request)
        return request

    def close(self, code: int = 1001) -> None:
        """Close the connection."""
        self.ws.close(code)
        self.is_over.set()

    def is_quiet(self) -> bool:
        """Return True if no request arrives within a moment."""
        try:
            self.ws.recv(0.1)
        except TimeoutError:
            return True
        return False


class Script:
    """The server. `accept` returns the next connection, which stays open until the test closes it or ends."""

    def __init__(self, serve: ServerFactory, subprotocols: list[str]) -> None:
        self._all: list[Peer] = []
        self._peers: queue.Queue[Peer] = queue.Queue()
        self._server = serve(self._talk, subprotocols=subprotocols)
        self.url = url_of(self._server)
        self._is_over = False

    def accept(self) -> Peer:
        """Wait for a connection."""
        return self._peers.get(timeout=TIMEOUT)

    def end(self) -> None:
        """Let all connections end."""
        self._is_over = True
        for peer in self._all:
            peer.is_over.set()

    def _talk(self, ws: wschat.Connection) -> None:
        peer = Peer(ws)
        self._all.append(peer)
        self._peers.put(peer)
        if not self._is_over:
            peer.is_over.wait(3 * TIMEOUT)
