"""A connection between a page and its server that can lose, delay, refuse and invent messages."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from tests.concurrency import TIMEOUT
from tests.server.command import Served
from tests.web.page.wiring import Guest, Windows, http

Event = dict[str, Any]
Fault = Callable[[Event], Event | None]


_numbers = itertools.count()


def new_name() -> str:
    """Return a name that no test has used: a server that several tests share may not yet have noticed that a client has left."""
    return f"user{next(_numbers)}"


def refuse(code: str, text: str = "Sorry.", times: int = 1, **wanted: Any) -> Fault:
    """Return a fault that refuses so many requests with these fields, without passing them to the server."""
    left = times

    def answer(request: Event) -> Event | None:
        nonlocal left
        if left == 0 or not wanted.items() <= request.items():
            return None
        left -= 1
        return {"type": "error", "id": request["id"], "code": code, "text": text}

    return answer


def ignore(**wanted: Any) -> Fault:
    """Return a fault that leaves requests with these fields without an answer."""
    return lambda request: {"type": "typing", "room": "", "name": ""} if wanted.items() <= request.items() else None


class FaultyNetwork:
    """Passes on what a page and its server send to each other, except for the faults that a test has set."""

    def __init__(self, page: Page) -> None:
        self.requests: list[Event] = []
        self.faults: list[Fault] = []
        self.is_silent = False
        """If true, nothing is passed on, and the connection stays open, as when the network is gone."""
        self.loses: set[str] = set()
        """The types of events that are not passed on to the page."""
        self.lost: list[Event] = []
        """The events that were not passed on because of `loses`."""
        self.hides: set[int] = set()
        """The sequence numbers of messages that are not passed on to the page."""
        self._page: WebSocketRoute | None = None
        self._waiting: set[str] = set()
        self._window = page
        page.route_web_socket(lambda _: True, self._open)

    def cut(self) -> None:
        """Close the connection."""
        assert self._page is not None
        self._waiting.clear()
        self._page.close(code=1012)

    def tell(self, event: Event) -> None:
        """Send an event to the page that is not from the server."""
        assert self._page is not None
        self._page.send(json.dumps(event))

    def asked(self, kind: str) -> list[Event]:
        """The requests of a type that the page has sent so far."""
        return [request for request in self.requests if request["type"] == kind]

    def wait_for(self, kind: str, times: int) -> None:
        """Wait until the page has sent so many requests of a type."""
        self._wait(lambda: len(self.asked(kind)) >= times)

    def wait_for_loss(self, kind: str) -> Event:
        """Wait until an event of a type has been lost; return it."""
        self._wait(lambda: any(event["type"] == kind for event in self.lost))
        return next(event for event in self.lost if event["type"] == kind)

    def wait_for_answers(self) -> None:
        """Wait until all requests of the page have been answered."""
        self._wait(lambda: bool(self.asked("commands")) and self._waiting == set())

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"lost was {self.lost}, the requests are {self.requests}"
            self._window.evaluate("0")

    def _open(self, page: WebSocketRoute) -> None:
        self._page = page
        if self.is_silent:
            return
        server = page.connect_to_server()
        page.on_message(lambda text: self._ask(page, server, str(text)))
        server.on_message(lambda text: self._tell(page, str(text)))

    def _tell(self, page: WebSocketRoute, text: str) -> None:
        event = json.loads(text)
        self._waiting.discard(event.get("id"))
        if event["type"] in self.loses:
            self.lost.append(event)
        elif not (self.is_silent or (event["type"] == "message" and event["seq"] in self.hides)):
            page.send(text)

    def _ask(self, page: WebSocketRoute, server: WebSocketRoute, text: str) -> None:
        request = json.loads(text)
        self.requests.append(request)
        self._waiting.add(request["id"])
        answer = next(filter(None, (fault(request) for fault in self.faults)), None)
        if answer is not None:
            self._tell(page, json.dumps(answer))
        elif not self.is_silent:
            server.send(text)


def enter(windows: Windows, server: Served, name: str, room: str = "lobby", *, clock: bool = False) -> tuple[Guest, FaultyNetwork]:
    """Join a room from a page behind a faulty network; with `clock`, the test controls the clock of the page."""
    page = windows.open("about:blank")
    if clock:
        page.clock.install()
    network = FaultyNetwork(page)
    page.goto(f"{http(server)}#/{room}")
    guest = Guest(page)
    guest.take_name(name)
    return guest, network
