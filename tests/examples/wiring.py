"""Runs the programs of docs/examples/, and visits their sites."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from typing import Any

import wschat
from tests.concurrency import TIMEOUT
from tests.documents import ROOT
from tests.programs import free_port, running_program

EXAMPLES = ROOT / "docs/examples"
"""The folder of the programs."""


class Visitor:
    """A client of a site that keeps its cookies, as a browser does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str = "/") -> str:
        """Return a page. Raises HTTPError."""
        with self._opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT) as response:
            return str(response.read().decode())

    def post(self, path: str, **fields: str) -> str:
        """Send a form, and return the page to which the response leads. Raises HTTPError."""
        data = urllib.parse.urlencode(fields).encode()
        with self._opener.open(f"http://127.0.0.1:{self.port}{path}", data, timeout=TIMEOUT) as response:
            return str(response.read().decode())

    def post_safely(self, path: str, **fields: str) -> str:
        """Send a form of Django, with the token that its page has."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert token
        return self.post(path, csrfmiddlewaretoken=token[1], **fields)

    def connect(self, path: str, **options: Any) -> wschat.Connection:
        """Open a WebSocket with the cookies."""
        return wschat.connect(f"ws://127.0.0.1:{self.port}{path}", cookies=self.cookies, **options)


@contextmanager
def running_site(program: str, **env: str) -> Iterator[int]:
    """Run a program that serves a site, and yield its port. At the end, one Ctrl-C must stop it cleanly."""
    port = free_port()
    with running_program(str(EXAMPLES / program), port=port, env={"PORT": str(port), **env}):
        yield port
