"""The site: paths, health, metrics, error pages, and path prefixes."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.concurrency import TIMEOUT, eventually
from tests.server.command import running
from tests.web.wiring import Answer, OpenWeb, Web, plain
from wschat.brokers import write_queue
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite import connections
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable
from wschat.web import dashboard


def test_healthz_and_readyz(web: Web) -> None:
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = web.get(path)
        assert (answer.status, answer.json, answer.headers["cache-control"]) == (200, {"status": status}, "no-store")


@pytest.mark.parametrize(("data", "status"), [(b"not HTTP\r\n\r\n", 400), (plain("GET", "/", b"", X_Long="x" * 17_000), 431)])
def test_an_invalid_request_is_refused_in_json(web: Web, data: bytes, status: int) -> None:
    answer = web.connect().call(data)
    assert (answer.status, answer.json.keys()) == (status, {"code", "text"})


def test_an_invalid_opening_request_is_refused_in_plain_text(web: Web) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}
    answer = web.connect().call(plain("GET", "/", b"", **{name.replace("-", "_"): value for name, value in headers.items()}))
    assert (answer.status, answer.body) == (426, b"The version of WebSocket spoken here is 13.\n")


def check_not_ready(web: Web) -> None:
    answer = web.get("/readyz")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert web.get("/healthz").status == 200


def test_not_ready_while_the_history_is_unavailable(open_web: OpenWeb) -> None:
    class Gone(MemoryBroker):
        is_gone = False

        def check(self) -> int:
            if self.is_gone:
                raise HistoryUnavailable("the history cannot be used")
            return 0

    broker = Gone()
    web = open_web(broker)
    broker.is_gone = True
    check_not_ready(web)
    answer = web.get("/api/rooms/tea/messages")
    assert answer.status == 200  # other calls still work


def test_not_ready_while_another_program_has_locked_the_history(open_web: OpenWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.05)
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.0)
    path = tmp_path / "history"
    web = open_web(SqliteBroker(path))
    assert web.get("/readyz").status == 200
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check_not_ready(web)
        answer = web.post("x")
        assert (answer.status, answer.code) == (503, "unavailable")
        other.execute("ROLLBACK")
    assert web.get("/readyz").status == 200
    assert web.post("x").json["seq"] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/stats", "/stats/data"])
def test_pages_allow_get_and_head_only(web: Web, path: str, method: str) -> None:
    answer = web.ask(method, path)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method-not-allowed", "GET, HEAD")


@pytest.mark.parametrize("path", ["/stats/", "/stats/more", "/healthz/", "/rooms/tea", "/robots.txt", "/%2F", "//"])
def test_unknown_paths_get_404(web: Web, path: str) -> None:
    answer = web.connect().get(path)
    assert (answer.status, answer.code) == (404, "not-found")


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("prefix", ["", "/chat"])
@pytest.mark.parametrize(
    ("path", "room"), [("/rooms/team", "team"), ("/rooms/Team/", "team"), ("/rooms/%D0%A7%D0%B0%D0%B9", "%D1%87%D0%B0%D0%B9")]
)
def test_the_url_of_a_room_redirects_a_browser_to_the_page(open_web: OpenWeb, prefix: str, path: str, room: str) -> None:
    web = open_web(server_options={"path_prefix": prefix})
    answer = web.ask("GET", f"{prefix}{path}", headers=BROWSER)
    assert (answer.status, answer.headers["location"]) == (303, f"{prefix}/?room={room}")
    assert web.ask("GET", f"{prefix}/?room={room}", headers=BROWSER).body == web.get(f"{prefix}/").body


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nothing", "404 Not Found", "There is no page at this address."),
        ("/a/b/c", "404 Not Found", "There is no page at this address."),
        ("/static/nothing.js", "404 Not Found", "There is no such file."),
        ("/rooms/two%20words", "404 Not Found", "There is no such room"),
        ("/rooms/%3Cscript%3E", "404 Not Found", "There is no such room"),
    ],
)
def test_a_browser_gets_an_error_page(open_web: OpenWeb, path: str, status: str, text: str) -> None:
    web = open_web(server_options={"path_prefix": "/chat"})
    answer = web.ask("GET", f"/chat{path}", headers=BROWSER)
    assert answer.status == int(status[:3])
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    page = answer.body.decode()
    assert f"<h1>{status}</h1>" in page
    assert text in page
    assert "{" not in page
    for link in re.findall('(?:href|src)="([^"]+)"', page):
        assert web.get(urljoin(f"/chat{path}", link)).status == 200, link


def test_other_clients_get_errors_in_json(web: Web) -> None:
    for path in ("/nothing", "/rooms/tea"):
        assert web.get(path).code == "not-found"
    assert web.ask("GET", "/api/rooms/tea/nothing", headers=BROWSER).code == "not-found"
    assert web.ask("POST", "/nothing", headers=BROWSER).code == "not-found"


# Metrics


def test_metrics_show_this_server(web: Web) -> None:
    web.guests.v1("alice", "tea")
    web.follow()
    eventually(lambda: web.server.load().connections["events"] == 1)
    answer = web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    text = answer.body.decode()
    assert 'wschat_connections{kind="websocket"} 1.0' in text
    assert 'wschat_connections{kind="events"} 1.0' in text
    openmetrics = web.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")


def test_metrics_without_prometheus_client_get_501(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    answer = web.get("/metrics")
    assert (answer.status, answer.code) == (501, "not-implemented")
    assert "pip install 'wschat[metrics]'" in answer.json["text"]


def test_the_dashboard_shows_samples_of_this_server(monkeypatch: pytest.MonkeyPatch, open_web: OpenWeb) -> None:
    monkeypatch.setattr(dashboard, "SECONDS", 0.02)
    web = open_web()
    web.guests.v1("alice", "tea")
    eventually(lambda: web.get("/stats/data").json["samples"])
    data = web.get("/stats/data").json
    assert data.keys() == {"next", "seconds", "kept", "samples"}
    eventually(lambda: web.get("/stats/data").json["samples"][-1]["connections"]["websocket"] == 1)
    newer = web.get("/stats/data", since=data["next"]).json
    assert all(sample["time"] >= data["samples"][-1]["time"] for sample in newer["samples"])
    for since in ("x", "-1", "9" * 17):
        answer = web.get("/stats/data", since=since)
        assert (answer.status, answer.code) == (400, "bad-field")


# Path prefixes


def test_everything_is_below_the_prefix(open_web: OpenWeb) -> None:
    web = open_web(server_options={"path_prefix": "/chat"})
    assert web.get("/").status == 404
    for path in ("/", "/healthz", "/readyz", "/metrics", "/stats", "/stats/data", "/api/rooms"):
        assert web.get(f"/chat{path}").status == 200
    assert web.ask("POST", "/chat/api/rooms/tea/messages", b'{"text": "x"}').status == 201
    http = web.connect()
    http.send(plain("GET", "/chat/api/rooms/tea/events", b"", Last_Event_ID="0"))
    assert http.head()[0] == 200


@pytest.mark.parametrize(("target", "location"), [("/chat", "/chat/"), ("/chat?name=alice&x=1", "/chat/?name=alice&x=1")])
def test_the_bare_prefix_redirects_to_the_page(open_web: OpenWeb, target: str, location: str) -> None:
    web = open_web(server_options={"path_prefix": "/chat"})
    http = web.connect()
    answer = http.get(target)
    assert (answer.status, answer.headers["location"]) == (308, location)
    assert http.get(location).status == 200


# The command


def get(host: str, port: int, path: str) -> Answer:
    with closing(HTTPConnection(host, port, timeout=TIMEOUT)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def test_the_command_serves_the_site() -> None:
    with running("--port", "0", "--path-prefix", "/chat/") as command:
        assert f"on http://127.0.0.1:{command.port}/chat/ and ws://127.0.0.1:{command.port}/chat/" in command.start_line
        assert get(command.host, command.port, "/chat/").headers["content-type"].startswith("text/html")
        assert json.loads(get(command.host, command.port, "/chat/api/rooms").body) == {"rooms": []}
        assert b"wschat_connections" in get(command.host, command.port, "/chat/metrics").body
        assert command.stop() == 0


def test_other_handlers_have_no_site() -> None:
    with running("--port", "0", "--app", "wschat.apps:echo") as command:
        assert command.start_line == f"wschat serves wschat.apps:echo on ws://127.0.0.1:{command.port}/"
        assert get(command.host, command.port, "/").status == 426
