"""nginx, with the configuration that the README gives. Tests do not belong here."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.connection.wiring import eventually
from tests.server.command import Command, running
from tests.server.raw import PATIENCE
from tests.test_readme import README, block, free_port

# Where it puts what it keeps while it works: it must not be the system's folders.
_FOLDERS = "".join(f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


_AROUND = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\n"


class Nginx(NamedTuple):
    """nginx in front of a server."""

    port: int
    server: Command
    log: Path

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


@contextmanager
def in_front(folder: Path) -> Iterator[Nginx]:
    """nginx in front of a server, as the README has both; its files are in this folder."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("needs nginx (on Debian: apt install nginx-light), which scripts/test installs as root")
    port = free_port()
    with running(*options_behind_nginx(), "--port", "0", "--history", "memory", "--log-level", "debug") as server:
        configuration = block("nginx", "location")[0]
        for shown, real in (("80;", f"127.0.0.1:{port};"), ("127.0.0.1:8080", f"127.0.0.1:{server.port}"), ("/var/log/nginx", str(folder))):
            configuration = configuration.replace(f" {shown}", f" {real}")
        (folder / "nginx.conf").write_text(f"{_AROUND}http {{\n{_FOLDERS}{configuration}}}\n")
        with subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.PIPE, text=True) as process:
            try:
                eventually(lambda: accepts(port) or process.poll() is not None)
                yield Nginx(port, server, folder / "access.log")
            finally:
                process.terminate()
                process.communicate()


def options_behind_nginx() -> list[str]:
    """The options that the README starts the server with behind nginx."""
    match = re.search(r"`python -m wschat.server (--path-prefix .*?)`", README)
    assert match
    return match[1].split()
