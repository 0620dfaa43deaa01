"""A browser's own EventSource as a client of the API."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from tests.server.command import Command, running
from tests.test_readme import free_port
from tests.web.page.wiring import Windows, http, until

FOLLOW = """() => {
    window.heard = [];
    window.opened = 0;
    const events = new EventSource("api/rooms/tea/events");
    events.onopen = () => window.opened++;
    events.onmessage = ({ data }) => window.heard.push(JSON.parse(data).text);
}"""


def post(server: Command, *texts: str) -> None:
    for text in texts:
        urllib.request.urlopen(f"{http(server)}api/rooms/tea/messages", json.dumps({"text": text}).encode()).close()


def test_it_follows_a_room_and_misses_nothing_while_the_server_is_away(windows: Windows, tmp_path: Path) -> None:
    options = ["--port", str(free_port()), "--history", str(tmp_path / "history.sqlite")]
    with running(*options) as server:
        page = windows.open(http(server))
        page.evaluate(FOLLOW)
        until(page, "window.opened === 1")
    with running(*options) as server:
        # It comes back by itself after two seconds: with the id of a place where nothing had been said yet.
        post(server, "one", "two")
        until(page, "window.opened === 2 && window.heard.length === 2")
        post(server, "three")
        until(page, "window.heard.length === 3")
        assert page.evaluate("window.heard") == ["one", "two", "three"]
