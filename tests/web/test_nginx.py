"""Behind nginx, with the configuration of docs/operating.md."""

from __future__ import annotations

import http.client
import re

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.web.proxies import Proxy


def test_the_page_and_its_files(nginx: Proxy) -> None:
    status, headers, page = nginx.ask("GET", "/chat/")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    files = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert files
    assert [nginx.ask("GET", f"/chat/{file}")[0] for file in files] == [200] * len(files)


def test_the_prefix_without_a_slash_is_redirected(nginx: Proxy) -> None:
    status, headers, _ = nginx.ask("GET", "/chat")
    assert status in (301, 308)
    assert headers["Location"].endswith("/chat/")


def test_messages_are_exchanged_between_websockets_event_streams_and_posts(nginx: Proxy) -> None:
    with wschat.connect(f"ws://127.0.0.1:{nginx.port}/chat/rooms/tea?name=alice") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=TIMEOUT)
        connection.request("GET", "/chat/api/rooms/tea/events")
        events = connection.getresponse()
        assert events.status == 200
        while not events.readline().startswith(b"id:"):  # no message is missed after this
            pass
        ws.send("Hello!")
        assert ws.recv(TIMEOUT) == "alice: Hello!"
        while b'"text":"Hello!"' not in events.readline():
            pass
        assert nginx.ask("POST", "/chat/api/rooms/tea/messages", '{"text": "I am a script."}')[0] == 201
        assert ws.recv(TIMEOUT) == "Server: I am a script."
        connection.close()


def test_connections_to_the_server_are_reused(nginx: Proxy) -> None:
    for _ in range(3):
        assert nginx.ask("GET", "/chat/api/rooms")[0] == 200
    clients = set(re.findall(r"(127\.0\.0\.1:\d+) GET /chat/api/rooms: 200", nginx.server.errors()))
    assert len(clients) == 1, "each request took a connection of its own"


def test_metrics_are_refused_through_a_proxy(nginx: Proxy) -> None:
    assert nginx.ask("GET", "/chat/stats/data")[0] == 403
    assert nginx.ask("GET", "/chat/metrics")[0] == 403


def test_passwords_and_tokens_are_not_in_the_log_of_nginx(nginx: Proxy) -> None:
    nginx.ask("GET", "/chat/api/rooms?name=root&password=sesame&token=very-secret")
    eventually(lambda: "GET /chat/api/rooms" in nginx.log.read_text())  # written after the response
    assert not re.search("sesame|very-secret", nginx.log.read_text())
