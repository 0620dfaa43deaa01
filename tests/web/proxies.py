"""nginx and HAProxy in front of a server, with the configurations of docs/operating.md."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.documents import OPERATING
from tests.programs import free_port
from tests.server.command import Command, running

# The folders for nginx's temporary files, instead of those of the system.
_FOLDERS = "".join(f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
_AROUND_NGINX = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\n"


CLIENT = "127.0.0.2"
"""The address of clients. It differs from that of the proxy, which is trusted."""


class Proxy(NamedTuple):
    """A proxy in front of a server."""

    port: int
    server: Command
    log: Path

    def connect(self, path: str, headers: Mapping[str, str] | None = None) -> wschat.Connection:
        sock = socket.create_connection(("127.0.0.1", self.port), TIMEOUT, (CLIENT, 0))
        return wschat.connect(f"ws://127.0.0.1:{self.port}{path}", headers=headers, sock=sock)

    def ask(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, TIMEOUT, (CLIENT, 0))
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read().decode()
        finally:
            connection.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def behind_nginx(folder: Path, *options: str) -> Iterator[Proxy]:
    """Run nginx in front of a server. `options` are added to those of docs/operating.md; `folder` is for nginx's files."""
    program = program_of("nginx", "nginx-light")
    with server_behind_a_proxy(*options) as server:
        port = free_port()
        configuration = OPERATING.example("nginx", "location").code
        for shown, real in (("80;", f"127.0.0.1:{port};"), ("127.0.0.1:8080", f"127.0.0.1:{server.port}"), ("/var/log/nginx", str(folder))):
            configuration = configuration.replace(f" {shown}", f" {real}")
        (folder / "nginx.conf").write_text(f"{_AROUND_NGINX}http {{\n{_FOLDERS}{configuration}}}\n")
        with started([program, "-p", str(folder), "-c", "nginx.conf"], port):
            yield Proxy(port, server, folder / "access.log")


@contextmanager
def behind_haproxy(folder: Path, *options: str, appends: bool = False) -> Iterator[Proxy]:
    """Run HAProxy in front of a server. `options` are added to those of docs/operating.md; `folder` is for HAProxy's files.

    If `appends`, it appends to the client's X-Forwarded-For instead of replacing it.
    """
    program = program_of("haproxy", "haproxy")
    with server_behind_a_proxy(*options) as server:
        port = free_port()
        configuration = OPERATING.example("haproxy", "frontend").code
        for shown, real in ((":80\n", f"127.0.0.1:{port}\n"), ("127.0.0.1:8080", f"127.0.0.1:{server.port}")):
            configuration = configuration.replace(f" {shown}", f" {real}")
        if appends:
            configuration = configuration.replace("http-request set-header X-Forwarded-For %[src]", "option forwardfor")
        (folder / "haproxy.cfg").write_text(configuration)
        with started([program, "-db", "-q", "-f", str(folder / "haproxy.cfg")], port):
            yield Proxy(port, server, folder / "no log")


def program_of(name: str, package: str) -> str:
    program = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if program is None:
        pytest.skip(f"needs {name} (on Debian: apt install {package}), which scripts/test installs as root")
    return program


@contextmanager
def server_behind_a_proxy(*options: str) -> Iterator[Command]:
    """Run a server with the options that docs/operating.md gives for a server behind a proxy, and with `options`."""
    match = re.search(r"`python -m wschat.server (--path-prefix .*?)`", OPERATING.text)
    assert match
    with running("--port", "0", *match[1].split(), "--history", "memory", "--log-level", "debug", *options) as server:
        yield server


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    """Start a proxy and wait until it accepts connections on `port`. Stop it after the block."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            eventually(lambda: accepts(port) or process.poll() is not None)
            yield
        finally:
            process.terminate()
            process.communicate()
