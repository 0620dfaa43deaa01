"""The output about the opening and the end of a connection."""

from __future__ import annotations

import re

import wschat
from tests.cli.client.command import run
from tests.conftest import ServerFactory, echo, url_of


def test_verbose_shows_the_opening_and_the_end(serve: ServerFactory) -> None:
    url = url_of(serve(echo, subprotocols=["a"]))
    done = run(f"{url}?token=secret", "-v", "--subprotocol", "a")
    first, *headers, last = done.err.splitlines()
    assert (done.code, first, last) == (0, f"wschat: {url}: connection opened", f"wschat: {url}: connection closed: 1000")
    assert "    sec-websocket-protocol: a" in headers
    assert run(url, "-v", "--quiet").err == ""


def test_verbose_shows_the_response_of_a_refusal(serve: ServerFactory) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not you.\nNor your \x1bfriend.", headers={"X-Why": "because"})

    server = serve(echo, check_request=refuse)
    done = run(url_of(server), "-v")
    assert done.code == 3
    assert re.match(rf"wschat: {url_of(server)}: 127.0.0.1:{server.port} answered 403 Forbidden: Not you\.", done.err)
    lines = done.err.splitlines()
    assert "    x-why: because" in lines
    assert lines[-2:] == ["    Not you.", "    Nor your \\x1bfriend."]
    assert len(run(url_of(server)).err.splitlines()) == 1
