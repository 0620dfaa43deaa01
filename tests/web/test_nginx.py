"""Behind nginx, with the configuration that the README gives."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import wschat
from tests.connection.wiring import eventually
from tests.server.command import Command, running
from tests.server.raw import PATIENCE
from tests.test_readme import README, block, free_port

# Where it puts what it keeps while it works: it must not be the system's folders.
_FOLDERS = "".join(f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


class Site(NamedTuple):
    port: int  # of nginx
    server: Command

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read().decode()
        finally:
            connection.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is None:
        pytest.skip("needs nginx (on Debian: apt install nginx-light), which scripts/test installs as root")
    port = free_port()
    options = block_of_options()
    with running(*options, "--port", "0", "--history", "memory", "--log-level", "debug") as server:
        configuration = block("nginx", "location")[0].replace("listen 80;", f"listen 127.0.0.1:{port};").replace("8080", str(server.port))
        (tmp_path / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{_FOLDERS}{configuration}}}\n"
        )
        with subprocess.Popen([nginx, "-p", str(tmp_path), "-c", "nginx.conf"], stderr=subprocess.PIPE, text=True) as process:
            try:
                eventually(lambda: accepts(port) or process.poll() is not None)
                yield Site(port, server)
            finally:
                process.terminate()
                process.communicate()


def block_of_options() -> list[str]:
    """The options that the README starts the server with behind nginx."""
    match = re.search(r"`python -m wschat.server (--path-prefix .*?)`", README)
    assert match
    return match[1].split()


def test_the_page_and_its_files(site: Site) -> None:
    status, headers, page = site.ask("GET", "/chat/")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    files = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert files
    assert [site.ask("GET", f"/chat/{file}")[0] for file in files] == [200] * len(files)


def test_who_leaves_the_slash_out_is_sent_on(site: Site) -> None:
    status, headers, _ = site.ask("GET", "/chat")
    assert status in (301, 308)
    assert headers["Location"].endswith("/chat/")


def test_what_is_said_by_websocket_comes_by_events_and_the_other_way_round(site: Site) -> None:
    with wschat.connect(f"ws://127.0.0.1:{site.port}/chat/rooms/tea?name=alice") as ws:
        assert ws.recv(PATIENCE) == "Welcome to the chat!"
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
        connection.request("GET", "/chat/api/rooms/tea/events")
        events = connection.getresponse()
        assert events.status == 200
        while not events.readline().startswith(b"id:"):  # from here on nothing is missed
            pass
        ws.send("Hello!")
        assert ws.recv(PATIENCE) == "alice: Hello!"
        while b'"text":"Hello!"' not in events.readline():
            pass
        assert site.ask("POST", "/chat/api/rooms/tea/messages", '{"text": "I am a script."}')[0] == 201
        assert ws.recv(PATIENCE) == "Server: I am a script."
        connection.close()


def test_connections_to_the_server_are_kept_and_the_log_tells_who_asks(site: Site) -> None:
    for _ in range(3):
        assert site.ask("GET", "/chat/api/rooms")[0] == 200
    clients = set(re.findall(r"(127\.0\.0\.1:\d+) GET /chat/api/rooms: 200", site.server.errors()))
    assert len(clients) == 1, "each request took a connection of its own"


def test_the_figures_are_not_for_who_comes_through_a_proxy(site: Site) -> None:
    assert site.ask("GET", "/chat/stats/data")[0] == 403
    assert site.ask("GET", "/chat/metrics")[0] == 403
