"""What stands between a page and its server, for faults that no server has to order. Tests do not belong here."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from tests.server.command import Served
from tests.server.raw import PATIENCE
from tests.web.page.wiring import Guest, Windows, http

Event = dict[str, Any]
Fault = Callable[[Event], Event | None]


_numbers = itertools.count()


def someone() -> str:
    """A name that nobody has had: a server that several tests share may not know yet that somebody has gone."""
    return f"someone{next(_numbers)}"


def refuse(code: str, text: str = "Sorry.", times: int = 1, **wanted: Any) -> Fault:
    """A fault: so many requests with these fields are refused, and never come to the server."""
    left = times

    def answer(request: Event) -> Event | None:
        nonlocal left
        if left == 0 or not wanted.items() <= request.items():
            return None
        left -= 1
        return {"type": "error", "id": request["id"], "code": code, "text": text}

    return answer


def ignore(**wanted: Any) -> Fault:
    """A fault: requests with these fields are never answered."""
    return lambda request: {"type": "typing", "room": "", "name": ""} if wanted.items() <= request.items() else None


class Between:
    """Passes on what a page and its server say to each other."""

    def __init__(self, page: Page) -> None:
        self.requests: list[Event] = []
        self.faults: list[Fault] = []
        self.is_silent = False
        """As a network that is gone: nothing arrives, and nothing says so."""
        self.loses: set[str] = set()
        """The types of events that do not arrive."""
        self.lost: list[Event] = []
        """Those that did not."""
        self.hides: set[int] = set()
        """The numbers of messages that get lost on their way."""
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
        """Tell the page something."""
        assert self._page is not None
        self._page.send(json.dumps(event))

    def asked(self, kind: str) -> list[Event]:
        """The requests of a kind that there have been."""
        return [request for request in self.requests if request["type"] == kind]

    def wait_for(self, kind: str, times: int) -> None:
        """Wait until there have been so many requests of a kind."""
        self._wait(lambda: len(self.asked(kind)) >= times)

    def wait_for_loss(self, kind: str) -> Event:
        """Wait until an event of a type has not arrived."""
        self._wait(lambda: any(event["type"] == kind for event in self.lost))
        return next(event for event in self.lost if event["type"] == kind)

    def wait_for_answers(self) -> None:
        """Wait until the page has come to rest, with an answer to everything."""
        self._wait(lambda: bool(self.asked("commands")) and self._waiting == set())

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
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


def enter(windows: Windows, server: Served, name: str, room: str = "lobby", *, clock: bool = False) -> tuple[Guest, Between]:
    """Somebody who has come to the chat through something between; with `clock`, time goes as fast there as the test says."""
    page = windows.open("about:blank")
    if clock:
        page.clock.install()
    between = Between(page)
    page.goto(f"{http(server)}#/{room}")
    guest = Guest(page)
    guest.take_name(name)
    return guest, between
