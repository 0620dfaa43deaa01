"""A browser's EventSource as a client of the API."""

from __future__ import annotations

import itertools
import json
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import wschat
from tests.programs import free_port
from tests.server.command import Served, running
from tests.web.page.wiring import Windows, http, until
from tests.web.proxies import Proxy, server_behind_a_proxy

FOLLOW = """() => {
    window.heard = [];
    window.opened = 0;
    window.failures = [];
    const events = new EventSource("api/rooms/tea/events");
    events.onerror = () => window.failures.push(events.readyState);
    events.onopen = () => window.opened++;
    events.onmessage = ({ data }) => window.heard.push(JSON.parse(data).text);
}"""


CONNECTING = 0  # the readyState while it retries; after an error that it does not retry, it is CLOSED


def post(server: Served, *texts: str) -> None:
    for text in texts:
        urllib.request.urlopen(f"{http(server)}api/rooms/tea/messages", json.dumps({"text": text}).encode()).close()


def test_it_misses_no_message_while_the_server_is_restarted(windows: Windows, tmp_path: Path) -> None:
    options = ["--port", str(free_port()), "--history", str(tmp_path / "history.sqlite")]
    with running(*options) as server:
        page = windows.open(http(server))
        page.evaluate(FOLLOW)
        until(page, "window.opened === 1")
    with running(*options) as server:
        # It reconnects by itself after two seconds, with the id of the position before the first message.
        post(server, "one", "two")
        until(page, "window.heard.length === 2")
        post(server, "three")
        until(page, "window.heard.length === 3")
        assert page.evaluate("window.heard") == ["one", "two", "three"]


def test_it_reconnects_when_a_server_behind_nginx_is_back(windows: Windows, nginx: Proxy) -> None:
    page = windows.open(f"http://127.0.0.1:{nginx.port}/chat/")
    nginx.server.stop()
    page.evaluate(FOLLOW)  # nginx answers with an error, as the server is stopped
    until(page, "window.failures.length > 0")
    with server_behind_a_proxy("--port", str(nginx.server.port), "--rate", "off") as server:
        # A response of nginx itself also counts as opened: only a message shows that the stream is the server's.
        numbers = itertools.count()
        while not page.evaluate("window.heard.length"):
            post(server, f"{next(numbers)}")
    assert set(page.evaluate("window.failures")) == {CONNECTING}


def test_it_retries_when_the_server_has_too_many_connections(windows: Windows) -> None:
    with running("--port", "0", "--max-connections", "2") as server, ExitStack() as others:
        page = windows.open(f"{http(server)}healthz")  # a page that keeps no connection open
        opened = 0
        while opened < 2:
            with suppress(wschat.OpeningFailed):  # until the page's own request has been answered
                others.enter_context(wschat.connect(server.url))
                opened += 1
        page.evaluate(FOLLOW)
        until(page, "window.failures.length > 0")
        assert page.evaluate("window.failures") == [CONNECTING]
